// free-port.mjs PREFERRED: prints that TCP port of 127.0.0.1 if it can be bound, else one that the kernel picks.
import { once } from "node:events";
import { createServer } from "node:net";

async function tryPort(port) {
  const server = createServer().listen({ port, host: "127.0.0.1", exclusive: true });
  try {
    await once(server, "listening");
    return server.address().port;
  } catch (error) {
    if (error.code === "EADDRINUSE") return null;
    throw error;
  } finally {
    server.close();
  }
}

console.log((await tryPort(Number(process.argv[2]))) ?? (await tryPort(0)));
