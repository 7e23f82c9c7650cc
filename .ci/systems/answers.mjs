// answers.mjs URL: exits 0 if an HTTP server answers there within two seconds, with whatever status below 500.
const response = await fetch(process.argv[2], { signal: AbortSignal.timeout(2000) });
process.exit(response.status < 500 ? 0 : 1);
