# shellcheck shell=bash disable=SC2154
# Cloudflare R2's rules, by Cloudflare's own simulator. Sourced by `up`. See server.mjs.

r2_dir=$cache/r2

prepare_r2() {
  local stamp
  stamp=$(sha256sum <"$here/r2/package-lock.json")
  [ "$stamp" = "$(cat "$r2_dir/stamp" 2>/dev/null)" ] && return
  rm -rf "$r2_dir"
  mkdir -p "$r2_dir"
  cp "$here"/r2/package{,-lock}.json "$r2_dir/"
  (cd "$r2_dir" && retry npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 </dev/null)
  echo "$stamp" >"$r2_dir/stamp"
  say "installed miniflare for R2"
}

start_r2() {
  is_running r2 && return
  local port
  port=$(free_port 7600)
  echo "$port" >"$state/r2.port"
  rm -rf "$state/r2"
  ZFERRY_TEST_S3_ACCESS_KEY=$s3_access_key ZFERRY_TEST_S3_SECRET_KEY=$s3_secret_key \
    start_server r2 node "$here/r2/server.mjs" "$r2_dir" "$port" "$state/r2"
}
await_r2() {
  await_server r2 60 grep -q "r2 ready" "$state/r2.log"
  say "R2 is up on port $(cat "$state/r2.port")"
}

export_r2() { export_variable ZFERRY_TEST_R2 "http://127.0.0.1:$(cat "$state/r2.port")/cdn-cgi/local/r2/s3"; }
