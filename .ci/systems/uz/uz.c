/*
 * uz: OpenZFS's own dmu_send and dmu_recv in user space (libzpool). No kernel module, no FUSE, no root.
 *
 *   uz create DIR POOL                        a pool on DIR/POOL.img, which the caller has truncated to its size
 *   uz recv   DIR POOL/DS [-F]                one stream from stdin; the snapshot's name is the stream's
 *   uz send   DIR POOL/DS@SNAP [FROM] [-eLcw] one stream to stdout
 *   uz fill   DIR POOL/DS SEED MIB [OFFSET]   pseudo-random bytes into an object-level dataset, made if missing
 *   uz snap   DIR POOL/DS SNAP
 *   uz sum    DIR POOL/DS[@SNAP]              a hash over all objects, their size, the guid
 *   uz list   DIR POOL                        datasets and snapshots with their guids
 *
 * Each call imports the pool, does one thing and exports it. Compound streams (-R, -I, -p) and the second halves of
 * resumed streams are not handled. The interface is OpenZFS's internal one, so this belongs to one release: 2.3.
 */
#include <sys/zfs_context.h>
#include <sys/spa.h>
#include <sys/dmu.h>
#include <sys/dmu_objset.h>
#include <sys/dmu_send.h>
#include <sys/dmu_recv.h>
#include <sys/dsl_dataset.h>
#include <sys/dsl_destroy.h>
#include <sys/zfs_file.h>
#include <libzutil.h>
#include <libzfs.h>
#include <libnvpair.h>
#include <stdio.h>
#include <fcntl.h>

#define MIB (1 << 20)
#define NAME_BYTES 256

extern char *spa_config_path;

static void check(const char *what, int error)
{
	if (error == 0)
		return;
	fprintf(stderr, "uz: %s: %s (%d)\n", what, strerror(error), error);
	exit(1);
}

static void create_pool(const char *dir, const char *pool)
{
	char path[1024];
	nvlist_t *file = fnvlist_alloc(), *root = fnvlist_alloc(), *props = fnvlist_alloc();
	const nvlist_t *children[1] = { file };

	snprintf(path, sizeof (path), "%s/%s.img", dir, pool);
	fnvlist_add_string(file, "type", "file");
	fnvlist_add_string(file, "path", path);
	fnvlist_add_uint64(file, "ashift", 9);
	fnvlist_add_uint64(file, "is_log", 0);
	fnvlist_add_string(root, "type", "root");
	fnvlist_add_nvlist_array(root, "children", children, 1);
	for (spa_feature_t i = 0; i < SPA_FEATURES; i++) {
		char name[128];
		snprintf(name, sizeof (name), "feature@%s", spa_feature_table[i].fi_uname);
		fnvlist_add_uint64(props, name, 0);
	}
	check("create", spa_create(pool, root, props, NULL, NULL));
}

static void import_pool(const char *dir, const char *pool)
{
	char *path = (char *)dir;
	importargs_t search = { .paths = 1, .path = &path, .can_be_active = B_TRUE };
	libpc_handle_t handle = { .lpc_ops = &libzpool_config_ops, .lpc_printerr = B_TRUE };
	nvlist_t *config = NULL;

	check("find pool", zpool_find_config(&handle, pool, &config, &search));
	check("import", spa_import((char *)pool, config, NULL, ZFS_IMPORT_NORMAL));
}

static void receive(const char *name, boolean_t force)
{
	dmu_replay_record_t begin;
	size_t got = 0;

	while (got < sizeof (begin)) {
		ssize_t n = read(0, (char *)&begin + got, sizeof (begin) - got);
		if (n <= 0)
			check("read begin", EINVAL);
		got += n;
	}
	zfs_file_t input = { .f_fd = 0, .f_dump_fd = -1 };
	offset_t offset = 0;
	dmu_recv_cookie_t cookie;
	char snapshot[NAME_BYTES];
	const char *at = strchr(begin.drr_u.drr_begin.drr_toname, '@');

	strlcpy(snapshot, at ? at + 1 : "snap", sizeof (snapshot));
	check("recv_begin", dmu_recv_begin(name, snapshot, &begin, force, B_FALSE, B_FALSE,
	    NULL, NULL, NULL, &cookie, &input, &offset));
	check("recv_stream", dmu_recv_stream(&cookie, &offset));
	check("recv_end", dmu_recv_end(&cookie, NULL));
	fprintf(stderr, "received %s@%s, %lld payload bytes\n", name, snapshot, (long long)offset);
}

static int write_stdout(objset_t *os, void *buffer, int length, void *arg)
{
	(void) os, (void) arg;
	for (char *p = buffer; length > 0;) {
		ssize_t n = write(1, p, length);
		if (n < 0)
			return (errno);
		p += n;
		length -= n;
	}
	return (0);
}

static void send_stream(const char *name, int count, char **arguments)
{
	const char *from = NULL, *flags = "";
	offset_t offset = 0;
	dmu_send_outparams_t out = { .dso_outfunc = write_stdout };

	for (int i = 0; i < count; i++) {
		if (arguments[i][0] == '-')
			flags = arguments[i];
		else
			from = arguments[i];
	}
	check("send", dmu_send(name, from, !!strchr(flags, 'e'), !!strchr(flags, 'L'), !!strchr(flags, 'c'),
	    !!strchr(flags, 'w'), B_FALSE, 0, 0, NULL, 1, &offset, &out));
}

/* xorshift64: the same seed gives the same bytes everywhere, and nothing can compress them. */
static uint64_t scramble(uint64_t *words, size_t count, uint64_t seed)
{
	for (size_t i = 0; i < count; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		words[i] = seed;
	}
	return (seed);
}

static uint64_t first_object(objset_t *os)
{
	uint64_t object = 0;
	if (dmu_object_next(os, &object, B_FALSE, 0) == 0)
		return (object);
	dmu_tx_t *tx = dmu_tx_create(os);
	dmu_tx_hold_bonus(tx, DMU_NEW_OBJECT);
	check("tx", dmu_tx_assign(tx, DMU_TX_WAIT));
	object = dmu_object_alloc(os, DMU_OT_UINT64_OTHER, 128 * 1024, DMU_OT_NONE, 0, tx);
	dmu_tx_commit(tx);
	return (object);
}

static void fill(const char *name, uint64_t seed, uint64_t count_mib, uint64_t offset)
{
	objset_t *os;
	int error = dmu_objset_create(name, DMU_OST_OTHER, 0, NULL, NULL, NULL);
	if (error != EEXIST)
		check("objset_create", error);
	check("own", dmu_objset_own(name, DMU_OST_OTHER, B_FALSE, B_TRUE, fill, &os));
	uint64_t object = first_object(os);
	uint64_t *buffer = malloc(MIB);

	for (uint64_t i = 0; i < count_mib; i++, offset += MIB) {
		seed = scramble(buffer, MIB / sizeof (*buffer), seed);
		dmu_tx_t *tx = dmu_tx_create(os);
		dmu_tx_hold_write(tx, object, offset, MIB);
		check("tx", dmu_tx_assign(tx, DMU_TX_WAIT));
		dmu_write(os, object, offset, MIB, buffer, tx);
		dmu_tx_commit(tx);
	}
	free(buffer);
	txg_wait_synced(dmu_objset_pool(os), 0);
	dmu_objset_disown(os, B_TRUE, fill);
}

/* FNV-1a over 64-bit words of every object, with the object numbers mixed in. */
static void sum(const char *name)
{
	objset_t *os;
	uint64_t object = 0, hash = 1469598103934665603ULL, total = 0;
	char *buffer = malloc(MIB);

	check("hold", dmu_objset_hold(name, (void *)sum, &os));
	while (dmu_object_next(os, &object, B_FALSE, 0) == 0) {
		dmu_object_info_t info;
		dmu_object_info(os, object, &info);
		for (uint64_t at = 0; at < info.doi_max_offset; at += MIB) {
			uint64_t n = MIN(MIB, info.doi_max_offset - at);
			check("read", dmu_read(os, object, at, n, buffer, DMU_READ_NO_PREFETCH));
			for (uint64_t k = 0; k < n; k += 8) {
				hash ^= *(uint64_t *)(buffer + k);
				hash *= 1099511628211ULL;
			}
			total += n;
		}
		hash ^= object;
	}
	printf("%s %016llx %llu bytes guid %llu\n", name, (unsigned long long)hash, (unsigned long long)total,
	    (unsigned long long)dsl_get_guid(dmu_objset_ds(os)));
	dmu_objset_rele(os, (void *)sum);
	free(buffer);
}

static int print_guid(const char *name, void *arg)
{
	objset_t *os;
	(void) arg;
	if (dmu_objset_hold(name, (void *)print_guid, &os) == 0) {
		printf("%s\t%llu\n", name, (unsigned long long)dsl_get_guid(dmu_objset_ds(os)));
		dmu_objset_rele(os, (void *)print_guid);
	}
	return (0);
}

static int run(const char *command, const char *name, int count, char **arguments)
{
	if (strcmp(command, "recv") == 0)
		receive(name, count > 0 && strcmp(arguments[0], "-F") == 0);
	else if (strcmp(command, "send") == 0)
		send_stream(name, count, arguments);
	else if (strcmp(command, "fill") == 0 && count >= 2)
		fill(name, strtoull(arguments[0], NULL, 10) | 1, strtoull(arguments[1], NULL, 10),
		    count > 2 ? strtoull(arguments[2], NULL, 10) : 0);
	else if (strcmp(command, "snap") == 0 && count >= 1)
		check("snapshot", dmu_objset_snapshot_one(name, arguments[0]));
	else if (strcmp(command, "sum") == 0)
		sum(name);
	else if (strcmp(command, "list") == 0)
		dmu_objset_find(name, print_guid, NULL, DS_FIND_CHILDREN | DS_FIND_SNAPSHOTS);
	else
		return (2);
	return (0);
}

int main(int count, char **arguments)
{
	char pool[NAME_BYTES];
	int status = 0;

	if (count < 4) {
		fprintf(stderr, "usage: uz create|recv|send|fill|snap|sum|list DIR NAME [ARGUMENT...]\n");
		return (2);
	}
	strlcpy(pool, arguments[3], sizeof (pool));
	pool[strcspn(pool, "/@")] = 0;
	spa_config_path = "/dev/null/none";
	kernel_init(SPA_MODE_READ | SPA_MODE_WRITE);
	if (strcmp(arguments[1], "create") == 0) {
		create_pool(arguments[2], pool);
	} else {
		import_pool(arguments[2], pool);
		status = run(arguments[1], arguments[3], count - 4, arguments + 4);
	}
	spa_export(pool, NULL, B_FALSE, B_FALSE);
	kernel_fini();
	return (status);
}
