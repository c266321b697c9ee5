/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - reading the affinity mask and the CPU quotas of the process.
 *
 * A process has a cgroup in each hierarchy (/proc/self/cgroup), and hierarchies are mounted somewhere,
 * perhaps in parts (/proc/self/mountinfo, whose field "root" says which part):
 *
 *	cgroup path    /docker/1234/service
 *	mount root     /docker/1234             mounted on   /sys/fs/cgroup/cpu
 *	so look at     /sys/fs/cgroup/cpu/service, then /sys/fs/cgroup/cpu
 *
 * From the process's own directory upwards to the mount point each may have a quota, and the tightest
 * of them holds. Version 1 keeps it in cpu.cfs_quota_us and cpu.cfs_period_us of the hierarchy with the
 * controller "cpu", version 2 in cpu.max; both may be there at once, and all mounts are looked at.
 */
#include "scheduler/base/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/base/clock.h"
#include "scheduler/base/compiler.h"
#include "scheduler/base/lock.h"
#include "scheduler/base/mem.h"
#include "scheduler/base/sys.h"

#define CPU_PATH_SIZE 4096
#define CPU_FILE_MAX ((size_t)16 << 20) /* no mountinfo is larger in earnest */
#define CPU_MASK_MAX ((size_t)1 << 20)	/* bytes: 8 million CPUs */

/* For so long what the files said counts as recent. In ns; to read them takes 80 us. */
#define QUOTA_RECENT INT64_C(1000000000)

/* Where the process is in the two kinds of hierarchy; NULL: not in such a one. */
struct cgroup_paths {
	char *v1_cpu;
	char *v2;
};

/* One line of mountinfo, cut up and unescaped in place. */
struct mount {
	char *root;
	char *point;
	char *type;
	char *options; /* of the superblock */
};

#ifdef HILO_TESTING
static const char *cpu_root = "";

void hilo__cpu_set_root(const char *prefix)
{
	cpu_root = prefix ? prefix : "";
}
#else
#define cpu_root ""
#endif

/* Read up to @size - 1 bytes of @fd into @buf and end them with a NUL; the length or -errno. */
static ssize_t file_read_fd(int fd, char *buf, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while (done < size - 1) {
		n = hilo__sys_read(fd, buf + done, size - 1 - done);
		if (n == -EINTR)
			continue;
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	buf[done] = '\0';
	return (ssize_t)done;
}

/* As file_read_fd for the file @path; what does not fit is left out. */
static ssize_t file_read(const char *path, char *buf, size_t size)
{
	int fd = hilo__sys_open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = file_read_fd(fd, buf, size);
	hilo__sys_close(fd);
	return n;
}

/* All of the file @name below the root, to be ended with hilo__free; NULL if that cannot be had. */
static char *file_read_all(const char *name)
{
	char path[CPU_PATH_SIZE];
	int n = snprintf(path, sizeof(path), "%s%s", cpu_root, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return NULL;
	for (size_t size = 16384; size <= CPU_FILE_MAX; size *= 4) {
		char *text = hilo__malloc(size);
		ssize_t length = text ? file_read(path, text, size) : -ENOMEM;

		if (length >= 0 && (size_t)length < size - 1)
			return text;
		hilo__free(text);
		if (length < 0)
			break;
	}
	return NULL;
}

/* True if @word is one of the comma-separated words of @words. */
static bool words_contain(const char *words, const char *word)
{
	size_t length = strlen(word);

	while (*words) {
		size_t n = strcspn(words, ",");

		if (n == length && memcmp(words, word, n) == 0)
			return true;
		words += n + (words[n] == ',');
	}
	return false;
}

/* Cut @text into lines and fields: the part up to @end, which is moved behind it. NULL: no more. */
static char *text_next(char **text, const char *end)
{
	char *part = *text;

	if (!part || !*part)
		return NULL;
	*text = part + strcspn(part, end);
	if (**text)
		*(*text)++ = '\0';
	return part;
}

/* Lines "4:cpu,cpuacct:/path" and, of version 2, "0::/path". */
static struct cgroup_paths cgroup_find_paths(char *text)
{
	struct cgroup_paths paths = {NULL, NULL};
	char *line;

	while ((line = text_next(&text, "\n"))) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*controllers++ = '\0';
		*path++ = '\0';
		if (path[0] != '/')
			continue;
		if (strcmp(line, "0") == 0 && !*controllers)
			paths.v2 = path;
		else if (words_contain(controllers, "cpu"))
			paths.v1_cpu = path;
	}
	return paths;
}

/* In place: the kernel writes blanks, newlines and backslashes as a backslash and three octal digits. */
static void mount_unescape(char *text)
{
	char *to = text;

	for (char *from = text; *from; from++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
		    from[3] >= '0' && from[3] <= '7') {
			*to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 3;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

/* "36 35 0:30 ROOT POINT options [tag...] - TYPE source OPTIONS" */
static bool mount_parse(char *line, struct mount *ret)
{
	char *field;

	for (int i = 0; i < 3; i++)
		if (!text_next(&line, " "))
			return false;
	ret->root = text_next(&line, " ");
	ret->point = text_next(&line, " ");
	do {
		field = text_next(&line, " ");
	} while (field && strcmp(field, "-") != 0);
	ret->type = text_next(&line, " ");
	field = text_next(&line, " ");
	ret->options = text_next(&line, " ");
	if (!field || !ret->options)
		return false;
	mount_unescape(ret->root);
	mount_unescape(ret->point);
	return true;
}

/* A decimal number that is followed by the end, a blank or a newline. */
static bool number_parse(const char *text, int64_t *ret, const char **ret_end)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno || end == text || (*end && *end != ' ' && *end != '\n'))
		return false;
	*ret = number;
	*ret_end = end;
	return true;
}

/* Read the file @name of directory @dir as text. */
static bool quota_read_file(const char *dir, const char *name, char *buf, size_t size)
{
	char path[CPU_PATH_SIZE + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return file_read(path, buf, size) > 0;
}

/* Take @quota in place of what the report has, if it is tighter. */
static void quota_offer(struct cpu_report *report, int64_t quota, int64_t period, const char *dir,
			const char *name)
{
	char path[CPU_PATH_SIZE + 32];
	size_t length;

	if (quota <= 0 || period <= 0)
		return;
	if (report->period_us &&
	    (double)quota / (double)period >= (double)report->quota_us / (double)report->period_us)
		return;
	report->quota_us = quota;
	report->period_us = period;
	snprintf(path, sizeof(path), "%s/%s", dir + strlen(cpu_root), name);
	length = strnlen(path, sizeof(report->quota_path) - 1);
	memcpy(report->quota_path, path, length);
	report->quota_path[length] = '\0';
}

/* "QUOTA PERIOD", where QUOTA may be "max" and PERIOD may be missing. */
static void quota_read_v2(const char *dir, struct cpu_report *report)
{
	static const char name[] = "cpu.max";
	int64_t quota, period = 100000;
	const char *end;
	char text[128];

	if (!quota_read_file(dir, name, text, sizeof(text)) || !number_parse(text, &quota, &end))
		return;
	if (*end == ' ' && !number_parse(end + 1, &period, &end))
		return;
	quota_offer(report, quota, period, dir, name);
}

/* A quota of -1 is none. */
static void quota_read_v1(const char *dir, struct cpu_report *report)
{
	static const char name[] = "cpu.cfs_quota_us";
	int64_t quota, period;
	const char *end;
	char text[128];

	if (!quota_read_file(dir, name, text, sizeof(text)) || !number_parse(text, &quota, &end))
		return;
	if (!quota_read_file(dir, "cpu.cfs_period_us", text, sizeof(text)) ||
	    !number_parse(text, &period, &end))
		return;
	quota_offer(report, quota, period, dir, name);
}

/*
 * What is left of the cgroup @path below the mount's @root; NULL: this mount does not show it. With
 * cgroup namespaces a root may begin with "/..": above the part that the process can name. Then the
 * directories between are unknown, but the mount point itself is an ancestor.
 */
static const char *path_below(const char *path, const char *root)
{
	size_t length = strlen(root);

	if (strcmp(path, "/") == 0)
		path = "";
	if (strcmp(root, "/") == 0)
		return strncmp(path, "/..", 3) == 0 ? NULL : path;
	if (strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0'))
		return path + length;
	return strncmp(root, "/..", 3) == 0 ? "" : NULL;
}

/* Look at the directory of the cgroup @path in @mount and at all above it. */
static void quota_walk(const struct mount *mount, const char *path, struct cpu_report *report)
{
	void (*quota_read)(const char *, struct cpu_report *) =
		strcmp(mount->type, "cgroup2") == 0 ? quota_read_v2 : quota_read_v1;
	const char *below = path_below(path, mount->root);
	char dir[CPU_PATH_SIZE];
	size_t top, end;
	int n;

	if (!below)
		return;
	n = snprintf(dir, sizeof(dir), "%s%s%s", cpu_root, mount->point, below);
	if (n < 0 || (size_t)n >= sizeof(dir))
		return;
	top = strlen(cpu_root) + strlen(mount->point);
	for (end = (size_t)n; end > top; end = (size_t)(strrchr(dir, '/') - dir)) {
		dir[end] = '\0';
		quota_read(dir, report);
	}
	dir[top] = '\0';
	quota_read(dir, report);
}

static void quota_find(struct cpu_report *report)
{
	char *cgroup_text = file_read_all("/proc/self/cgroup");
	char *mount_text = cgroup_text ? file_read_all("/proc/self/mountinfo") : NULL;
	char *rest = mount_text;
	struct cgroup_paths paths;
	struct mount mount;
	char *line;

	if (mount_text) {
		paths = cgroup_find_paths(cgroup_text);
		while ((line = text_next(&rest, "\n"))) {
			if (!mount_parse(line, &mount))
				continue;
			if (paths.v2 && strcmp(mount.type, "cgroup2") == 0)
				quota_walk(&mount, paths.v2, report);
			else if (paths.v1_cpu && strcmp(mount.type, "cgroup") == 0 &&
				 words_contain(mount.options, "cpu"))
				quota_walk(&mount, paths.v1_cpu, report);
		}
	}
	hilo__free(mount_text);
	hilo__free(cgroup_text);
}

/* The kernel refuses a mask that is smaller than the one it has: -EINVAL. */
static unsigned affinity_count_large(void)
{
	for (size_t size = 2 * sizeof(cpu_set_t); size <= CPU_MASK_MAX; size *= 2) {
		cpu_set_t *mask = hilo__calloc(1, size);
		int rc = mask ? hilo__sys_sched_getaffinity(0, size, mask) : -ENOMEM;
		int count = rc < 0 ? 0 : CPU_COUNT_S(size, mask);

		hilo__free(mask);
		if (rc != -EINVAL)
			return (unsigned)count;
	}
	return 0;
}

static unsigned affinity_count(void)
{
	cpu_set_t mask;
	int rc = hilo__sys_sched_getaffinity(0, sizeof(mask), &mask);

	if (rc == -EINVAL)
		return affinity_count_large();
	return rc < 0 ? 0 : (unsigned)CPU_COUNT(&mask);
}

/* What the files said last. Taken by trying: in a child after fork nobody may be there to give it back. */
static struct {
	struct spinlock lock;
	bool known;
	int64_t read_at;
	struct cpu_report report; /* of it the quota */
} last_quota;

static void quota_remember(const struct cpu_report *report)
{
	if (!spin_trylock(&last_quota.lock))
		return;
	last_quota.known = true;
	last_quota.read_at = hilo__clock_now();
	last_quota.report = *report;
	spin_unlock(&last_quota.lock);
}

/* False: it is not known, or not any more. */
static bool quota_recall(struct cpu_report *ret)
{
	int64_t age;
	bool recent;

	if (!spin_trylock(&last_quota.lock))
		return false;
	age = hilo__clock_now() - last_quota.read_at;
	recent = last_quota.known && age >= 0 && age < QUOTA_RECENT;
	if (recent)
		*ret = last_quota.report;
	spin_unlock(&last_quota.lock);
	return recent;
}

static unsigned cpu_count(struct cpu_report *ret, bool may_recall)
{
	struct cpu_report report = {0};
	int64_t cpus;

	if (!may_recall || !quota_recall(&report)) {
		quota_find(&report);
		quota_remember(&report);
	}
	report.affinity = affinity_count();
	if (!report.affinity)
		report.affinity = 1;
	report.count = report.affinity;
	if (report.period_us) {
		cpus = report.quota_us / report.period_us + (report.quota_us % report.period_us != 0);
		if (cpus < (int64_t)report.count)
			report.count = (unsigned)cpus;
	}
	if (ret)
		*ret = report;
	return report.count;
}

unsigned hilo__cpu_count(struct cpu_report *ret)
{
	return cpu_count(ret, false);
}

unsigned hilo__cpu_count_recent(struct cpu_report *ret)
{
	return cpu_count(ret, true);
}

bool hilo__cpu_throttled_likely(const struct cpu_report *report)
{
	return report->period_us &&
	       (double)report->quota_us < (double)report->affinity * (double)report->period_us;
}
