# shellcheck shell=bash disable=SC2154
# A real S3 server: Ceph's RADOS Gateway (one monitor, one store, one gateway) on 127.0.0.1. Sourced by `up`.
#
# Of the servers that Debian and npm offer it is the one that enforces signatures, checksums and conditional writes, also on
# CompleteMultipartUpload. Only forky's (20.2) does the last; 18.2 overwrites, and so it is unpacked from there into the
# cache and run by chroot. Objects live in memory (ZFERRY_TEST_S3_BACKEND=bluestore: on disk) and go when it stops.
# cephx is off: this is for loopback and nothing else.

ceph_dir=$cache/ceph
s3_access_key=TESTKEY0000000000000
s3_secret_key=testsecret000000000000000000000000000000

prepare_ceph() {
  [ -e "$ceph_dir/unpacked" ] && return
  rm -rf "$ceph_dir"
  mkdir -p "$ceph_dir/apt"
  local mirror
  mirror=$(mirror_of bookworm)
  [ -n "$mirror" ] || fail "the machine's apt sources name no Debian mirror"
  echo "deb [signed-by=$keyring] $mirror forky main" >"$ceph_dir/apt/sources.list"
  # An empty status file: every dependency is fetched, down to libc, because nothing of bookworm may be mixed in.
  : >"$ceph_dir/apt/status"
  use_lists "$ceph_dir/apt"
  apt_options+=(-o Dir::State::status="$ceph_dir/apt/status")
  retry apt_get update
  retry apt_get install -y --no-install-recommends --download-only \
    radosgw ceph-mon ceph-osd base-files base-passwd bash coreutils libc-bin python3 >&2
  unpack_ceph
  rm -rf "$ceph_dir/apt"
  say "unpacked $(chroot "$ceph_dir/root" radosgw --version)"
  touch "$ceph_dir/unpacked"
}

unpack_ceph() {
  local root=$ceph_dir/root deb name
  mkdir -p "$root"
  for deb in "$ceph_dir"/apt/archives/base-files_*.deb; do extract_into "$root" "$deb"; done
  for name in bin sbin lib lib64; do
    [ -e "$root/$name" ] || { mkdir -p "$root/usr/$name"; ln -s "usr/$name" "$root/$name"; }
  done
  for deb in "$ceph_dir"/apt/archives/*.deb; do extract_into "$root" "$deb"; done
  mkdir -p "$root"/{proc,sys,dev,tmp,run,state}
  chmod 1777 "$root/tmp"
  echo '127.0.0.1 localhost' >"$root/etc/hosts"
  cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
  cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
  chroot "$root" /sbin/ldconfig
}
extract_into() {
  dpkg-deb --fsys-tarfile "$2" | tar -x -C "$1" --keep-directory-symlink \
    --exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale
}

# in_ceph COMMAND…: as the prefix of a command: a private mount namespace in which $state/ceph is /state, then chroot.
in_ceph=(unshare -m --propagation private bash -c '
  mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && mount --bind "$1" "$0/state" && exec chroot "$0" "${@:2}"'
  "$ceph_dir/root" "$state/ceph")

start_ceph() {
  is_running ceph-gateway && is_running ceph-store && is_running ceph-monitor && return
  stop_ceph
  local dir=$state/ceph mon_port osd_id
  mkdir -p "$dir"/{mon,osd,rgw,run}
  s3_port=$(free_port 7700) s3_tls_port=$(free_port 7743) mon_port=$(free_port 8700)
  echo "$s3_port $s3_tls_port" >"$state/ceph.ports"
  openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=localhost -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
    -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
  ceph_config "$mon_port" >"$dir/ceph.conf"

  local config=(-c /state/ceph.conf)
  "${in_ceph[@]}" monmaptool --create --fsid "$(sed -n 's/^fsid = //p' "$dir/ceph.conf")" \
    --addv a "[v2:127.0.0.1:$mon_port]" /state/monmap >/dev/null
  "${in_ceph[@]}" ceph-mon "${config[@]}" -i a --mkfs --monmap /state/monmap
  start_server ceph-monitor "${in_ceph[@]}" ceph-mon "${config[@]}" -i a -f
  osd_id=$(cat /proc/sys/kernel/random/uuid)
  "${in_ceph[@]}" ceph "${config[@]}" --connect-timeout 60 osd new "$osd_id" 0 >/dev/null
  "${in_ceph[@]}" ceph-osd "${config[@]}" -i 0 --osd-uuid "$osd_id" --mkfs >"$state/ceph-mkfs.log" 2>&1
  start_server ceph-store "${in_ceph[@]}" ceph-osd "${config[@]}" -i 0 -f
  ceph_user_and_classes "${config[@]}"
  start_server ceph-gateway "${in_ceph[@]}" radosgw "${config[@]}" -n client.rgw.a -f
}

# The test user, and STANDARD_IA as a second storage class that objects may be put in.
ceph_user_and_classes() {
  local admin=("${in_ceph[@]}" radosgw-admin "$@" -n client.rgw.a)
  "${admin[@]}" user create --uid=test --display-name=test --access-key="$s3_access_key" --secret-key="$s3_secret_key"
  "${admin[@]}" zonegroup placement add --rgw-zonegroup default --placement-id default-placement --storage-class STANDARD_IA
  "${admin[@]}" zone placement add --rgw-zone default --placement-id default-placement --storage-class STANDARD_IA \
    --data-pool default.rgw.STANDARD_IA.data
} >"$state/ceph-admin.log" 2>&1

# Settings that matter: the paxos intervals (start in 1.7 s instead of 11.8), "ms mon client mode" (with cephx off the gateway
# hangs at start without it), relaxed regions (so that "auto" works), and the gc ones (deleted data is freed in seconds).
ceph_config() {
  sed -e "s/@FSID@/$(cat /proc/sys/kernel/random/uuid)/" -e "s/@MON_PORT@/$1/g" -e "s/@OSD_PORTS@/$(($1 + 10))/" \
    -e "s/@OSD_PORTS_END@/$(($1 + 99))/" -e "s/@S3_PORT@/$s3_port/" -e "s/@S3_TLS_PORT@/$s3_tls_port/" \
    -e "s/@BACKEND@/${ZFERRY_TEST_S3_BACKEND:-memstore}/" "$here/ceph/ceph.conf.in"
}

await_ceph() {
  read -r s3_port s3_tls_port <"$state/ceph.ports"
  await_server ceph-gateway 60 is_listening "$s3_port"
  await_server ceph-gateway 60 node "$here/answers.mjs" "http://127.0.0.1:$s3_port/"
  say "S3 is up on ports $s3_port (http) and $s3_tls_port (https)"
}

stop_ceph() {
  local name
  for name in ceph-gateway ceph-store ceph-monitor; do stop_server "$name"; done
  rm -rf "$state/ceph"
}

export_ceph() {
  export_variable ZFERRY_TEST_S3 "http://127.0.0.1:$s3_port"
  export_variable ZFERRY_TEST_S3_ACCESS_KEY "$s3_access_key"
  export_variable ZFERRY_TEST_S3_SECRET_KEY "$s3_secret_key"
  export_variable ZFERRY_TEST_S3_TLS "https://127.0.0.1:$s3_tls_port"
  export_variable ZFERRY_TEST_S3_CA "$state/ceph/cert.pem"
}
