# shellcheck shell=bash disable=SC2154
# Debian packages from the machine's own mirror, through package lists of our own. Sourced by `up`.
#
# The machine may know fewer suites than the systems need (backports and contrib for OpenZFS, a newer suite for Ceph), and
# its own lists may be missing or old. So every call here uses lists under the cache; /etc/apt is read and never written.
# No host is named: the addresses are those the machine's sources give, whatever they are.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# retry COMMAND…: up to three tries, for whatever goes over the network.
retry() {
  local try
  for try in 1 2 3; do
    "$@" && return
    say "try $try of 3 failed: $*"
    sleep "$((try * 3))"
  done
  return 1
}

# mirror_of SUITE: the address the machine itself uses for that suite, from deb822 or else from one-line sources; empty if none.
mirror_of() {
  local file files=()
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do [ ! -e "$file" ] || files+=("$file"); done
  [ ${#files[@]} -gt 0 ] || return 0
  awk -v suite="$1" '
    function offer(uri, suites) { if (!found && uri != "" && index(" " suites " ", " " suite " ")) { print uri; found = 1 } }
    function flush_stanza() { offer(uri, suites); uri = suites = "" }
    FNR == 1 { flush_stanza() }
    /^[[:space:]]*#/ { next }
    FILENAME ~ /\.sources$/ {
      if (/^URIs:/) uri = $2
      else if (/^Suites:/) { suites = $0; sub(/^Suites:[[:space:]]*/, "", suites) }
      else if (/^[[:space:]]*$/) flush_stanza()
      next
    }
    $1 == "deb" { sub(/\[[^]]*\]/, ""); offer($2, $3) }
    END { flush_stanza() }' "${files[@]}"
}

# use_lists DIR: from here on `apt_get` and `apt_cache` work with the sources.list and package lists in DIR.
use_lists() {
  mkdir -p "$1/lists/partial" "$1/archives/partial"
  apt_options=(
    -qq -o Dir::Etc::sourcelist="$1/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$1/lists"
    -o Dir::Cache="$1" -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 -o DPkg::Lock::Timeout=600
  )
}
apt_get() { DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" "$@" </dev/null; }
apt_cache() { apt-cache "${apt_options[@]}" "$@"; }

# bookworm_lists: selects Debian 12 with contrib and backports; fetches the lists the first time in a run.
bookworm_lists() {
  local dir=$cache/apt archive security suite
  use_lists "$dir"
  [ -z "${bookworm_lists_are_new:-}" ] || return 0
  archive=$(mirror_of bookworm)
  security=$(mirror_of bookworm-security)
  [ -n "$archive" ] || fail "the machine's apt sources name no mirror for bookworm: the test systems need Debian 12"
  {
    for suite in bookworm bookworm-updates bookworm-backports; do echo "deb [signed-by=$keyring] $archive $suite main contrib"; done
    [ -z "$security" ] || echo "deb [signed-by=$keyring] $security bookworm-security main contrib"
  } >"$dir/sources.list"
  retry apt_get update
  bookworm_lists_are_new=yes
}

# forbid_services, allow_services: between the two no package starts its servers (policy-rc.d, as in Debian's policy manual),
# and PostgreSQL makes no cluster. A machine that has such a policy of its own keeps it. Tests start what they need themselves.
services_policy=/usr/sbin/policy-rc.d
forbid_services() {
  [ -e "$services_policy" ] || install -m 755 /dev/stdin "$services_policy" <<<$'#!/bin/sh\n# from the test systems, for as long as they install packages\nexit 101'
  [ -e /etc/postgresql-common ] || { mkdir /etc/postgresql-common && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf; }
}
allow_services() { ! grep -qs 'from the test systems' "$services_policy" || rm "$services_policy"; }

# install_packages NAME…: installs on this machine what dpkg does not already have. A second call costs nothing.
install_packages() {
  local name missing=()
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  bookworm_lists
  forbid_services
  retry apt_install "${missing[@]}" >>"$cache/apt/install.log" 2>&1 || {
    allow_services
    tail -n 20 "$cache/apt/install.log" >&2
    fail "apt-get could not install: ${missing[*]}"
  }
  allow_services
  rm -f "$cache"/apt/archives/*.deb
  say "installed ${missing[*]}"
}

# After a failure dpkg ends what was cut off, without which no further try, and no later `up`, would come to anything.
apt_install() {
  apt_get install -y --no-install-recommends "$@" || {
    DEBIAN_FRONTEND=noninteractive dpkg --configure -a </dev/null
    return 1
  }
}

# unpack_packages DIR NAME[=VERSION]…: the files of these packages under DIR; nothing is installed, no script of theirs runs.
unpack_packages() {
  local dir=$1 debs
  shift
  debs=$(mktemp -d "$cache/debs.XXXXXX")
  bookworm_lists
  (cd "$debs" && retry apt_get download "$@" >&2)
  mkdir -p "$dir"
  local deb
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$dir"; done
  rm -rf "$debs"
}
