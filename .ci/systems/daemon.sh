# shellcheck shell=bash disable=SC2154
# Starting, finding and stopping the servers behind the test systems. Sourced by `up` and `down`.
#
# A server NAME has $state/NAME.log and $state/NAME.pid. The latter holds its process id and the kernel's start time of that
# process, so that a number which was given to another process in the meantime is never taken for ours, or killed.

say() { echo "[systems +${SECONDS}s] $*" >&2; }
fail() {
  say "error: $*"
  exit 1
}

# start_time PID: clock ticks from boot to the start of the process (proc(5), stat, field 22); empty if there is none.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# start_server NAME COMMAND…: in a session of its own, holding none of our files, so that `. <(up)` ends and locks are let go.
start_server() {
  local name=$1
  shift
  setsid "$@" </dev/null >"$state/$name.log" 2>&1 8>&- 9>&- &
  echo "$! $(start_time $!)" >"$state/$name.pid"
  disown $!
}

is_running() {
  local pid ticks
  [ -e "$state/$1.pid" ] && read -r pid ticks <"$state/$1.pid" && [ -n "$ticks" ] && [ "$(start_time "$pid")" = "$ticks" ]
}

# stop_server NAME: KILL to its whole session, at once; nothing they store is kept, so there is nothing to flush.
stop_server() {
  local name=$1 pid tick
  if is_running "$name"; then
    read -r pid _ <"$state/$name.pid"
    kill -KILL -- "-$pid" 2>/dev/null || true
    for ((tick = 0; tick < 100; tick++)); do is_running "$name" || break; sleep 0.05; done
  fi
  rm -f "$state/$name.pid"
}

# await_server NAME SECONDS COMMAND…: until COMMAND succeeds; fails with the server's last words if it dies or takes longer.
await_server() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! is_running "$name" || [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 30 "$state/$name.log" >&2
      fail "$name did not come up, see $state/$name.log"
    fi
    sleep 0.2
  done
}

# free_port PREFERRED: that TCP port of 127.0.0.1 if nobody listens there, else one the kernel picks.
free_port() { node "$here/free-port.mjs" "$1"; }

# is_listening PORT: somebody accepts connections on 127.0.0.1:PORT.
is_listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
