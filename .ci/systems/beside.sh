# shellcheck shell=bash
# Steps that wait for the network, or for one core, side by side. Sourced by `up`.

# Process id, which is also that of its group, by the function that runs in it.
declare -A beside_pids=()

# beside FUNCTION: begins it in the background. What it sets is its own; it installs no package, of which there is one at a time.
beside() {
  set -m
  "$1" </dev/null &
  set +m
  beside_pids[$1]=$!
}

# finish FUNCTION: waits for it, if it was begun; ends with it when it failed, as it would have without `beside`.
finish() {
  [ -n "${beside_pids[$1]:-}" ] || return 0
  wait "${beside_pids[$1]}" || fail "$1 failed"
  unset "beside_pids[$1]"
}

# stop_beside: ends what was not waited for, with all it has started. What it has half made has no stamp.
stop_beside() {
  local pid
  for pid in "${beside_pids[@]}"; do kill -- "-$pid" 2>/dev/null || true; done
}
