# shellcheck shell=bash disable=SC2154
# The later versions of Node that zferry is installed and run on, beside the one that runs the tests. Sourced by `up`.

nodes_dir=$cache/nodes

prepare_nodes() {
  local stamp
  stamp=$(sha256sum <"$here/nodes/package-lock.json")
  [ "$stamp" = "$(cat "$nodes_dir/stamp" 2>/dev/null)" ] && return
  rm -rf "$nodes_dir"
  mkdir -p "$nodes_dir"
  cp "$here"/nodes/package{,-lock}.json "$nodes_dir/"
  (cd "$nodes_dir" && retry npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 </dev/null)
  echo "$stamp" >"$nodes_dir/stamp"
  say "installed Node 22 and 24"
}

export_nodes() { export_variable ZFERRY_TEST_NODES "$nodes_dir/node_modules"; }
