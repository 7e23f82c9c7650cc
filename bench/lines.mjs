/**
 * The shell lines that are measured, in one place. They read the stream on stdin. Passphrases come from a file, secrets of
 * stores from the environment; no line has one in its words.
 */
export const GiB = 1024 ** 3;

/** As in zferry's defaults, for every contender that cuts. */
export const chunkSize = "1GiB";
export const partBytes = 16 * 1024 ** 2;

const gpgFlags = '--batch --no-tty --quiet --pinentry-mode loopback --passphrase-file "$PASS"';

/** gpg 2.2 as people use it. `--s2k-count` and the like are its own defaults. */
export const gpgEncrypt = `gpg ${gpgFlags} -c --cipher-algo AES256 --compress-algo none`;
export const gpgDecrypt = `gpg ${gpgFlags} -d`;

/** What ZFS2Cloud runs, but for its passphrase in the arguments; and it compresses, which would only slow it down. */
export const gpg1Encrypt =
  'GNUPGHOME="$GNUPGHOME1" gpg1 --batch --no-tty --quiet --passphrase-file "$PASS" -c --cipher-algo AES256 --compress-algo none';

/** Into files of the chunk size in $OUT, as ZFS2Cloud names them. */
export const split = `split --bytes=${chunkSize} --suffix-length=4 --numeric-suffixes - "$OUT/data.zfs.gpg."`;

const keys = '--state-dir "$STATE" --passphrase-file "$PASS"';

export const put = (packet) => `"$NODE" "$ZFERRY" --log-level error put "$BACKUP" --store "$STORE" ${keys} --packet ${packet}`;
export const get = `"$NODE" "$ZFERRY" --log-level error get "$BACKUP" --store "$STORE" ${keys}`;

/** Parts as large as zferry's, and its number in flight: better for it than its own 5 MiB. */
export const rclone = 'rclone rcat --s3-chunk-size 16M --s3-upload-concurrency 4 "bench:$BUCKET/$FOLDER/data.zfs.gpg"';
/** The number in flight is its own, 10; the size of parts is in its configuration file. */
export const aws =
  'env ${SINK_CA:+AWS_CA_BUNDLE="$SINK_CA"} aws s3 cp --quiet --expected-size "$SIZE" - "s3://$BUCKET/$FOLDER/data.zfs.gpg"';
export const libStorage = '"$NODE" "$BENCH/lib-storage.mjs" "$BUCKET" "$FOLDER/data.zfs.gpg"';
/** The stream as it is, through zferry's own store. */
export const bare = '"$NODE" "$BENCH/bare-upload.mjs" "$STORE"';

export const feed = 'cat "$INPUT"';
