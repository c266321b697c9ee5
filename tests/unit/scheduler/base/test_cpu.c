/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/cpu.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

/* The machine that the fake trees are for has this many CPUs. */
#define FAKE_CPUS 16

static char root[64];

static int fake_getaffinity(pid_t pid, size_t size, cpu_set_t *ret)
{
	(void)pid;
	memset(ret, 0, size);
	for (size_t i = 0; i < FAKE_CPUS; i++)
		CPU_SET_S(i * 3, size, ret);
	return 0;
}

static int tree_setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/hilo-test-cpu-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	hilo__cpu_set_root(root);
	hilo__sys.sched_getaffinity = fake_getaffinity;
	return 0;
}

static int tree_teardown(void **state)
{
	char command[128];

	(void)state;
	hilo__cpu_set_root(NULL);
	hilo__sys_reset();
	hilo__mem_fail_at(0, false);
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

/* Make the file @path below the root, with all its directories. */
static void tree_add(const char *path, const char *text)
{
	char full[512];
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0777);
		*slash = '/';
	}
	file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

#define MOUNT_V2(root, point) "30 23 0:26 " root " " point " rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
#define MOUNT_V1(root, point)                                                                                \
	"31 23 0:27 " root " " point " rw,nosuid shared:5 master:1 - cgroup cgroup rw,cpu,cpuacct\n"
#define MOUNT_OTHER                                                                                          \
	"22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n"                                                     \
	"32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"                                  \
	"33 23 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"

static void tree_add_proc(const char *cgroup, const char *mountinfo)
{
	tree_add("/proc/self/cgroup", cgroup);
	tree_add("/proc/self/mountinfo", mountinfo);
}

static void assert_unlimited(void)
{
	struct cpu_report report;

	assert_int_equal(hilo__cpu_count(&report), FAKE_CPUS);
	assert_int_equal(report.count, FAKE_CPUS);
	assert_int_equal(report.affinity, FAKE_CPUS);
	assert_int_equal(report.period_us, 0);
	assert_string_equal(report.quota_path, "");
	assert_false(hilo__cpu_throttled_likely(&report));
}

static void assert_limited(unsigned count, const char *path)
{
	struct cpu_report report;

	assert_int_equal(hilo__cpu_count(&report), count);
	assert_int_equal(report.count, count);
	assert_int_equal(report.affinity, FAKE_CPUS);
	assert_true(report.period_us > 0);
	assert_string_equal(report.quota_path, path);
}

static void test_cpu_without_files_is_affinity(void **state)
{
	(void)state;
	assert_unlimited();
}

static void test_cpu_v2_quota_is_rounded_up(void **state)
{
	struct cpu_report report;

	(void)state;
	tree_add_proc("0::/user/job\n", MOUNT_OTHER MOUNT_V2("/", "/sys/fs/cgroup"));
	tree_add("/sys/fs/cgroup/user/job/cpu.max", "250000 100000\n");
	assert_limited(3, "/sys/fs/cgroup/user/job/cpu.max");
	hilo__cpu_count(&report);
	assert_int_equal(report.quota_us, 250000);
	assert_int_equal(report.period_us, 100000);
	assert_true(hilo__cpu_throttled_likely(&report));
}

static void test_cpu_v2_max_is_no_quota(void **state)
{
	(void)state;
	tree_add_proc("0::/user/job\n", MOUNT_V2("/", "/sys/fs/cgroup"));
	tree_add("/sys/fs/cgroup/user/job/cpu.max", "max 100000\n");
	tree_add("/sys/fs/cgroup/user/cpu.max", "max\n");
	assert_unlimited();
}

static void test_cpu_v2_ancestor_tighter_than_leaf(void **state)
{
	(void)state;
	tree_add_proc("0::/a/b/c/d\n", MOUNT_V2("/", "/sys/fs/cgroup"));
	tree_add("/sys/fs/cgroup/a/b/c/d/cpu.max", "800000 100000\n");
	tree_add("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
	tree_add("/sys/fs/cgroup/a/cpu.max", "100000 50000\n");
	assert_limited(2, "/sys/fs/cgroup/a/cpu.max");
}

static void test_cpu_v2_leaf_is_gone_but_ancestor_counts(void **state)
{
	(void)state;
	tree_add_proc("0::/a/b (deleted)\n", MOUNT_V2("/", "/sys/fs/cgroup"));
	tree_add("/sys/fs/cgroup/a/cpu.max", "500000 100000\n");
	assert_limited(5, "/sys/fs/cgroup/a/cpu.max");
}

static void test_cpu_v2_default_period(void **state)
{
	(void)state;
	tree_add_proc("0::/a\n", MOUNT_V2("/", "/sys/fs/cgroup"));
	tree_add("/sys/fs/cgroup/a/cpu.max", "400000\n");
	assert_limited(4, "/sys/fs/cgroup/a/cpu.max");
}

/* Inside of a container with its own namespace the process is in the root of what is mounted. */
static void test_cpu_v2_namespace_root(void **state)
{
	(void)state;
	tree_add_proc("0::/\n", MOUNT_V2("/", "/sys/fs/cgroup"));
	tree_add("/sys/fs/cgroup/cpu.max", "50000 100000\n");
	assert_limited(1, "/sys/fs/cgroup/cpu.max");
}

/* Mounted from outside of the namespace: what lies between is unknown, the mount point is above. */
static void test_cpu_v2_mount_from_outside_of_the_namespace(void **state)
{
	(void)state;
	tree_add_proc("0::/job\n", MOUNT_V2("/../..", "/sys/fs/cgroup"));
	tree_add("/sys/fs/cgroup/cpu.max", "600000 100000\n");
	tree_add("/sys/fs/cgroup/job/cpu.max", "100000 100000\n"); /* another's of the same name */
	assert_limited(6, "/sys/fs/cgroup/cpu.max");
}

static void test_cpu_v2_process_outside_of_its_namespace_root(void **state)
{
	(void)state;
	tree_add_proc("0::/../sibling\n", MOUNT_V2("/", "/inner") MOUNT_V2("/..", "/outer"));
	tree_add("/inner/cpu.max", "100000 100000\n"); /* does not apply */
	tree_add("/outer/sibling/cpu.max", "700000 100000\n");
	assert_limited(7, "/outer/sibling/cpu.max");
}

static void test_cpu_v1_quota_and_period(void **state)
{
	(void)state;
	tree_add_proc("5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/docker/1\n",
		      MOUNT_OTHER MOUNT_V1("/", "/sys/fs/cgroup/cpu,cpuacct"));
	tree_add("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "150000\n");
	tree_add("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "50000\n");
	assert_limited(3, "/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us");
}

static void test_cpu_v1_minus_one_is_no_quota(void **state)
{
	(void)state;
	tree_add_proc("4:cpu:/\n", MOUNT_V1("/", "/sys/fs/cgroup/cpu"));
	tree_add("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
	tree_add("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	assert_unlimited();
}

static void test_cpu_v1_ancestor_tighter_than_leaf(void **state)
{
	(void)state;
	tree_add_proc("4:cpuacct,cpu:/a/b\n", MOUNT_V1("/", "/cg"));
	tree_add("/cg/a/b/cpu.cfs_quota_us", "900000\n");
	tree_add("/cg/a/b/cpu.cfs_period_us", "100000\n");
	tree_add("/cg/a/cpu.cfs_quota_us", "200000\n");
	tree_add("/cg/a/cpu.cfs_period_us", "100000\n");
	assert_limited(2, "/cg/a/cpu.cfs_quota_us");
}

/* A container without namespace sees its own part of the hierarchy only. */
static void test_cpu_v1_bind_mount_of_a_part(void **state)
{
	(void)state;
	tree_add_proc("4:cpu,cpuacct:/docker/77/inner\n",
		      MOUNT_V1("/docker/7", "/other") MOUNT_V1("/docker/77", "/sys/fs/cgroup/cpu"));
	tree_add("/other/cpu.cfs_quota_us", "100000\n"); /* /docker/7 is not above /docker/77 */
	tree_add("/other/cpu.cfs_period_us", "100000\n");
	tree_add("/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "-1\n");
	tree_add("/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000\n");
	tree_add("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "401000\n");
	tree_add("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	assert_limited(5, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
}

static void test_cpu_hybrid_takes_the_tightest_of_both(void **state)
{
	(void)state;
	tree_add_proc("4:cpu,cpuacct:/v1\n0::/v2\n",
		      MOUNT_V2("/", "/sys/fs/cgroup/unified") MOUNT_V1("/", "/sys/fs/cgroup/cpu"));
	tree_add("/sys/fs/cgroup/unified/v2/cpu.max", "600000 100000\n");
	tree_add("/sys/fs/cgroup/cpu/v1/cpu.cfs_quota_us", "450000\n");
	tree_add("/sys/fs/cgroup/cpu/v1/cpu.cfs_period_us", "100000\n");
	assert_limited(5, "/sys/fs/cgroup/cpu/v1/cpu.cfs_quota_us");
	tree_add("/sys/fs/cgroup/unified/v2/cpu.max", "300000 100000\n");
	assert_limited(3, "/sys/fs/cgroup/unified/v2/cpu.max");
}

/* The unified hierarchy is there but the controller is elsewhere: no cpu.max anywhere. */
static void test_cpu_hybrid_with_empty_v2(void **state)
{
	(void)state;
	tree_add_proc("4:cpu:/job\n0::/job\n",
		      MOUNT_V2("/", "/sys/fs/cgroup/unified") MOUNT_V1("/", "/sys/fs/cgroup/cpu"));
	tree_add("/sys/fs/cgroup/unified/cgroup.procs", "");
	tree_add("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "100000\n");
	tree_add("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
	assert_limited(1, "/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us");
}

static void test_cpu_mount_point_with_blank(void **state)
{
	(void)state;
	tree_add_proc("0::/a\n", MOUNT_V2("/", "/my\\040groups\\134x"));
	tree_add("/my groups\\x/a/cpu.max", "200000 100000\n");
	assert_limited(2, "/my groups\\x/a/cpu.max");
}

static void test_cpu_quota_above_affinity_does_not_limit(void **state)
{
	struct cpu_report report;

	(void)state;
	tree_add_proc("0::/a\n", MOUNT_V2("/", "/cg"));
	tree_add("/cg/a/cpu.max", "6400000 100000\n");
	assert_int_equal(hilo__cpu_count(&report), FAKE_CPUS);
	assert_int_equal(report.quota_us, 6400000);
	assert_false(hilo__cpu_throttled_likely(&report));
}

static void test_cpu_tiny_quota_is_one(void **state)
{
	(void)state;
	tree_add_proc("0::/a\n", MOUNT_V2("/", "/cg"));
	tree_add("/cg/a/cpu.max", "1000 1000000\n");
	assert_limited(1, "/cg/a/cpu.max");
}

static void test_cpu_malformed_quotas_do_not_limit(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"x 100000\n",
		"100000 x\n",
		"100000 0\n",
		"0 100000",
		"-5 100000\n",
		"1e5 100000",
		"99999999999999999999 100000\n",
		"100000x 100000\n",
	};

	(void)state;
	tree_add_proc("0::/a\n", MOUNT_V2("/", "/cg"));
	for (size_t i = 0; i < array_size(texts); i++) {
		tree_add("/cg/a/cpu.max", texts[i]);
		assert_unlimited();
	}
}

static void test_cpu_malformed_v1_does_not_limit(void **state)
{
	(void)state;
	tree_add_proc("4:cpu:/a\n", MOUNT_V1("/", "/cg"));
	tree_add("/cg/a/cpu.cfs_quota_us", "100000\n"); /* no period */
	assert_unlimited();
	tree_add("/cg/a/cpu.cfs_period_us", "0\n");
	assert_unlimited();
}

static void test_cpu_malformed_proc_does_not_limit(void **state)
{
	static const char *const cgroups[] = {"", "\n\n", "0:", "0::", "0::relative\n", ":::\n", "4:cpu\n"};
	static const char *const mounts[] = {
		"",
		"\n",
		"30\n",
		"30 23 0:26 / /cg\n",
		"30 23 0:26 / /cg rw -\n",
		"30 23 0:26 / /cg rw - cgroup2\n",
		"30 23 0:26 / /cg rw cgroup2 cgroup2 rw\n",
		"    \n",
	};

	(void)state;
	tree_add("/cg/a/cpu.max", "100000 100000\n");
	for (size_t i = 0; i < array_size(cgroups); i++) {
		tree_add_proc(cgroups[i], MOUNT_V2("/", "/cg"));
		assert_unlimited();
	}
	for (size_t i = 0; i < array_size(mounts); i++) {
		tree_add_proc("0::/a\n", mounts[i]);
		assert_unlimited();
	}
}

static void test_cpu_long_files_are_read_to_the_end(void **state)
{
	enum {
		LINES = 3000
	};
	size_t size = LINES * 100 + 1000, used = 0;
	char *text = malloc(size);

	(void)state;
	for (int i = 0; i < LINES; i++)
		used += (size_t)snprintf(text + used, size - used,
					 "%d 1 0:%d / /mnt/overlay/%d rw - overlay overlay rw\n", i, i, i);
	snprintf(text + used, size - used, "%s", MOUNT_V2("/", "/cg"));
	tree_add_proc("0::/a\n", text);
	tree_add("/cg/a/cpu.max", "200000 100000\n");
	free(text);
	assert_limited(2, "/cg/a/cpu.max");
}

static void test_cpu_long_path_does_not_limit(void **state)
{
	static char text[6000];

	(void)state;
	strcpy(text, "0::/");
	memset(text + 4, 'a', 5000);
	tree_add_proc(text, MOUNT_V2("/", "/cg"));
	tree_add("/cg/cpu.max", "100000 100000\n");
	assert_unlimited();
}

static void test_cpu_interrupted_and_short_reads_change_nothing(void **state)
{
	const struct sys_chaos chaos = {.seed = 4, .interrupt = 300, .shorten = 500};

	(void)state;
	tree_add_proc("0::/a\n", MOUNT_OTHER MOUNT_V2("/", "/cg"));
	tree_add("/cg/a/cpu.max", "200000 100000\n");
	hilo__sys_chaos(&chaos);
	for (int i = 0; i < 100; i++)
		assert_limited(2, "/cg/a/cpu.max");
}

/* Whatever fails, the answer is one of the two that make sense, and nothing stays behind. */
static void test_cpu_survives_every_failing_call(void **state)
{
	long live = hilo__mem_live();
	long calls;

	(void)state;
	tree_add_proc("0::/a\n", MOUNT_V2("/", "/cg"));
	tree_add("/cg/a/cpu.max", "200000 100000\n");
	hilo__sys_fail(SYS_CALL_ANY, 0, 0, false);
	hilo__cpu_count(NULL);
	calls = hilo__sys_calls(SYS_CALL_ANY);
	assert_true(calls > 5);
	for (long nth = 1; nth <= calls; nth++) {
		unsigned count;

		hilo__sys_fail(SYS_CALL_ANY, nth, EIO, false);
		count = hilo__cpu_count(NULL);
		assert_true(count == 1 || count == 2 || count == FAKE_CPUS);
		assert_int_equal(hilo__mem_live(), live);
	}
	hilo__sys_fail(SYS_CALL_ANY, 0, 0, false);
	for (long nth = 1; nth <= 3; nth++) {
		hilo__mem_fail_at(nth, false);
		assert_true(hilo__cpu_count(NULL) >= 2);
		assert_int_equal(hilo__mem_live(), live);
	}
}

static int64_t fake_now;

static int64_t fake_clock(void *ctx)
{
	(void)ctx;
	return fake_now;
}

static void test_cpu_recent_quota_is_kept_for_a_second(void **state)
{
	const int64_t second = INT64_C(1000000000);
	struct cpu_report report;

	(void)state;
	fake_now = 5 * second;
	hilo__clock_set_source(fake_clock, NULL);
	tree_add_proc("0::/a\n", MOUNT_V2("/", "/cg"));
	tree_add("/cg/a/cpu.max", "100000 100000\n");
	assert_int_equal(hilo__cpu_count(NULL), 1);
	tree_add("/cg/a/cpu.max", "200000 100000\n");
	assert_int_equal(hilo__cpu_count_recent(&report), 1);
	assert_int_equal(report.count, 1);
	assert_int_equal(report.affinity, FAKE_CPUS);
	assert_string_equal(report.quota_path, "/cg/a/cpu.max");
	fake_now += second;
	assert_int_equal(hilo__cpu_count_recent(NULL), 2);
	tree_add("/cg/a/cpu.max", "300000 100000\n");
	fake_now -= second / 2; /* a clock that was set back says nothing */
	assert_int_equal(hilo__cpu_count_recent(NULL), 3);
	hilo__clock_set_source(NULL, NULL);
}

static void test_cpu_recent_quota_meets_the_affinity_of_now(void **state)
{
	(void)state;
	tree_add_proc("0::/a\n", MOUNT_V2("/", "/cg"));
	tree_add("/cg/a/cpu.max", "200000 100000\n");
	assert_int_equal(hilo__cpu_count(NULL), 2);
	hilo__sys_fail(SYS_CALL_SCHED_GETAFFINITY, 1, EPERM, true);
	assert_int_equal(hilo__cpu_count_recent(NULL), 1);
}

static size_t large_mask_size;

/* As the kernel of a machine with many CPUs: refuses masks that are too small. */
static int large_getaffinity(pid_t pid, size_t size, cpu_set_t *ret)
{
	(void)pid;
	if (size < large_mask_size)
		return -EINVAL;
	memset(ret, 0, size);
	for (size_t i = 0; i < large_mask_size * 8; i += 2)
		CPU_SET_S(i, size, ret);
	return 0;
}

static void test_cpu_mask_grows_as_needed(void **state)
{
	(void)state;
	hilo__sys.sched_getaffinity = large_getaffinity;
	for (large_mask_size = 64; large_mask_size <= 4096; large_mask_size *= 2)
		assert_int_equal(hilo__cpu_count(NULL), large_mask_size * 4);
}

static void test_cpu_unreadable_affinity_is_one(void **state)
{
	(void)state;
	hilo__sys_fail(SYS_CALL_SCHED_GETAFFINITY, 1, EPERM, true);
	assert_int_equal(hilo__cpu_count(NULL), 1);
	hilo__sys_fail(SYS_CALL_SCHED_GETAFFINITY, 1, EINVAL, true);
	assert_int_equal(hilo__cpu_count(NULL), 1);
}

/* This very machine: never more than its affinity mask says. */
static void test_cpu_of_this_machine(void **state)
{
	struct cpu_report report;
	cpu_set_t mask;
	unsigned count;

	(void)state;
	hilo__cpu_set_root(NULL);
	hilo__sys_reset();
	count = hilo__cpu_count(&report);
	assert_in_range(count, 1, report.affinity);
	if (sched_getaffinity(0, sizeof(mask), &mask) == 0)
		assert_int_equal(report.affinity, CPU_COUNT(&mask));
}

#define CPU_TEST(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CPU_TEST(test_cpu_without_files_is_affinity),
		CPU_TEST(test_cpu_v2_quota_is_rounded_up),
		CPU_TEST(test_cpu_v2_max_is_no_quota),
		CPU_TEST(test_cpu_v2_ancestor_tighter_than_leaf),
		CPU_TEST(test_cpu_v2_leaf_is_gone_but_ancestor_counts),
		CPU_TEST(test_cpu_v2_default_period),
		CPU_TEST(test_cpu_v2_namespace_root),
		CPU_TEST(test_cpu_v2_mount_from_outside_of_the_namespace),
		CPU_TEST(test_cpu_v2_process_outside_of_its_namespace_root),
		CPU_TEST(test_cpu_v1_quota_and_period),
		CPU_TEST(test_cpu_v1_minus_one_is_no_quota),
		CPU_TEST(test_cpu_v1_ancestor_tighter_than_leaf),
		CPU_TEST(test_cpu_v1_bind_mount_of_a_part),
		CPU_TEST(test_cpu_hybrid_takes_the_tightest_of_both),
		CPU_TEST(test_cpu_hybrid_with_empty_v2),
		CPU_TEST(test_cpu_mount_point_with_blank),
		CPU_TEST(test_cpu_quota_above_affinity_does_not_limit),
		CPU_TEST(test_cpu_tiny_quota_is_one),
		CPU_TEST(test_cpu_malformed_quotas_do_not_limit),
		CPU_TEST(test_cpu_malformed_v1_does_not_limit),
		CPU_TEST(test_cpu_malformed_proc_does_not_limit),
		CPU_TEST(test_cpu_long_files_are_read_to_the_end),
		CPU_TEST(test_cpu_long_path_does_not_limit),
		CPU_TEST(test_cpu_interrupted_and_short_reads_change_nothing),
		CPU_TEST(test_cpu_survives_every_failing_call),
		CPU_TEST(test_cpu_recent_quota_is_kept_for_a_second),
		CPU_TEST(test_cpu_recent_quota_meets_the_affinity_of_now),
		CPU_TEST(test_cpu_mask_grows_as_needed),
		CPU_TEST(test_cpu_unreadable_affinity_is_one),
		CPU_TEST(test_cpu_of_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
