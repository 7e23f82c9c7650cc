/** A service that a hook stops and starts: nginx, on a socket of its own, started by nobody but the hook's own script. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnSync } from "node:child_process";

export interface WebServer {
  /** Shell scripts that may be run at any time, and more than once. */
  readonly start: string;
  readonly stop: string;
  /** Whether it answers. */
  readonly isUp: () => Promise<boolean>;
  readonly remove: () => void;
}

/** @param nginx - the program */
export function webServer(nginx: string): WebServer {
  const folder = mkdtempSync(join(tmpdir(), "zferry-web-"));
  const [socket, pid, conf] = ["socket", "pid", "conf"].map((name) => join(folder, name)) as [string, string, string];
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join(" ");
  writeFileSync(
    conf,
    `pid ${pid}; error_log ${folder}/error.log; worker_processes 1; events { worker_connections 16; }
     http { access_log off; ${temp} server { listen unix:${socket}; location / { return 200 up; } } }`,
  );
  const isRunning = `test -s '${pid}' && kill -0 "$(cat '${pid}')" 2>/dev/null`;
  const start = `${isRunning} || { rm -f '${socket}'; '${nginx}' -p '${folder}' -c '${conf}' >/dev/null 2>&1; }`;
  const stop = `if ${isRunning}; then kill "$(cat '${pid}')"; while test -e '${pid}'; do sleep 0.01; done; fi`;
  return {
    start,
    stop,
    isUp: () =>
      new Promise((resolve) => {
        const request = get({ socketPath: socket, path: "/" }, (response) => {
          response.resume();
          resolve(response.statusCode === 200);
        });
        request.on("error", () => {
          resolve(false);
        });
      }),
    remove: () => {
      spawnSync("/bin/sh", ["-c", stop]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
