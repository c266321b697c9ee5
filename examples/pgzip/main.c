/* SPDX-License-Identifier: MIT */
/*
 * pgzip - gzip on all cores, with Hilo.
 *
 *     main_task          starts the two below and waits for the first
 *       files_task       does one file after the other (job.c), each by many tasks (compress.c)
 *       signals_task     waits for Ctrl-C, then cancels files_task, which cleans up after itself
 *
 * Tasks compress; whatever may block, files and terminals, goes through the executor (blocking.c).
 */
#include "interrupt.h"
#include "job.h"
#include "options.h"

#include <hilo/hilo.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A cancelled job has this long to end; it may wait for a call that an executor thread is in. */
#define GRACE HILO_SECOND

enum status {
	STATUS_OK = 0,
	STATUS_ERROR = 1,
	STATUS_WARNING = 2,
	STATUS_SIGNAL = 128
};

struct app {
	struct options options;
	struct interrupt interrupt;
	struct job job;
	hilo_task *files;
	bool stopped; /* by a signal, before all was done */
	int status;
};

static void app_report(struct app *app, int status, const char *message)
{
	if (status == STATUS_ERROR || app->status == STATUS_OK)
		app->status = status;
	if (status == STATUS_ERROR || !app->options.quiet)
		fprintf(stderr, "pgzip: %s\n", message);
}

/* [task] Every file in its turn; one that fails does not stop the others. */
static int files_task(void *arg)
{
	struct app *app = arg;
	char warning[HILO_ERROR_MESSAGE_SIZE];
	int i, ret;

	for (i = 0; i < app->options.file_count; i++) {
		ret = job_run(&app->job, app->options.files[i]);
		if (ret == -ECANCELED)
			return ret;
		if (ret < 0)
			app_report(app, STATUS_ERROR, hilo_error_message());
		if (app->job.garbage) {
			snprintf(warning, sizeof(warning),
				 "%s: what follows the compressed data was left aside", app->job.input.name);
			app_report(app, STATUS_WARNING, warning);
		}
	}
	return 0;
}

static void app_report_signal(const struct app *app)
{
	fprintf(stderr, "pgzip: stopped: %s\n", strsignal(app->interrupt.signal));
}

/* [task] Cancel the work when a signal comes. Should it not end, leave without it. */
static int signals_task(void *arg)
{
	struct app *app = arg;
	int ret = interrupt_wait(&app->interrupt, HILO_FOREVER);

	if (ret < 0)
		return ret;
	hilo_task_cancel(app->files);
	hilo_await(app->files, hilo_after(GRACE));
	if (!hilo_task_is_done(app->files)) {
		output_abandon(&app->job.output);
		app_report_signal(app);
		_exit(STATUS_SIGNAL + app->interrupt.signal);
	}
	return 0;
}

/* What --stats prints. */
static void app_print_stats(const struct app *app, hilo_time span)
{
	const hilo_runtime *runtime = hilo_runtime_current();
	hilo_worker_stats stats = {.size = sizeof(stats)};
	double seconds = (double)span / HILO_SECOND;
	uint64_t in = app->job.total_in, out = app->job.total_out;
	unsigned i, workers = hilo_runtime_workers(runtime);

	fprintf(stderr, "pgzip: %llu -> %llu bytes, %.2f %%, %.3f s, %.1f MB/s\n", (unsigned long long)in,
		(unsigned long long)out, in ? 100.0 * (double)out / (double)in : 0, seconds,
		seconds > 0 ? (double)in / seconds / 1e6 : 0);
	for (i = 0; hilo_runtime_get_stats(runtime, i, &stats) == 0; i++) {
		fprintf(stderr, "pgzip: %s %u: %llu blocks, %llu switches, %llu steals, %llu sleeps\n",
			i < workers ? "worker" : "spare worker", i, app->job.blocks[i],
			(unsigned long long)stats.switches, (unsigned long long)stats.steals,
			(unsigned long long)stats.sleeps);
	}
}

/* [task] */
static int main_task(void *arg)
{
	struct app *app = arg;
	hilo_time start = hilo_now();
	hilo_task *signals;

	app->job.blocks = calloc(hilo_runtime_loops(hilo_runtime_current()), sizeof(*app->job.blocks));
	if (!app->job.blocks)
		return -ENOMEM;
	app->files = hilo_spawn(files_task, app);
	signals = hilo_spawn(signals_task, app);
	app->stopped = hilo_await(app->files, HILO_FOREVER) == -ECANCELED;
	hilo_task_cancel(signals);
	hilo_join(signals, HILO_FOREVER);
	hilo_task_unref(app->files);
	if (app->options.stats)
		app_print_stats(app, hilo_now() - start);
	free(app->job.blocks);
	return app->files ? 0 : -ENOMEM;
}

int main(int argc, char **argv)
{
	static struct app app;
	hilo_opts opts = {.size = sizeof(opts)};
	int ret = options_parse(&app.options, argc, argv);

	if (ret >= 0)
		return ret;
	app.job.options = &app.options;
	opts.workers = app.options.workers;
	output_init(&app.job.output);
	ret = interrupt_init(&app.interrupt);
	if (ret == 0)
		ret = hilo_run(main_task, &app, &opts);
	if (ret < 0)
		app_report(&app, STATUS_ERROR, hilo_strerror(ret));
	if (app.stopped) {
		app_report_signal(&app);
		return STATUS_SIGNAL + app.interrupt.signal;
	}
	if (close(STDOUT_FILENO) < 0 && app.status == STATUS_OK)
		app_report(&app, STATUS_ERROR, "cannot write stdout");
	return app.status;
}
