/* SPDX-License-Identifier: MIT */
/*
 * mandelbrot.c - a picture of the Mandelbrot set, row by row on all cores. Rows through the middle take a hundred times
 * as long as those at the edge; which worker gets which is settled by stealing.
 */
#include <hilo/hilo.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "picture.h"
#include "progress.h"

static const char help[] =
	"Usage: mandelbrot [OPTION]...\n"
	"Write a picture of the Mandelbrot set.\n"
	"\n"
	"  -o, --output FILE    default mandelbrot.ppm; *.png is written as PNG, - to standard output\n"
	"  -s, --size WxH       in points, default 1280x960\n"
	"  -i, --iterations N   at most so many for each point, default 1000\n"
	"  -c, --center X,Y     default -0.75,0\n"
	"  -z, --zoom FACTOR    default 1: three units across\n"
	"  -p, --parallel N     on N cores, default all (HILO_WORKERS overrides it)\n"
	"  -q, --quiet          no progress\n"
	"  -h, --help           print this\n";

struct job {
	struct options options;
	const char *output;
	long iterations;
	double x, y, zoom;
	struct picture picture;
	struct progress progress;
};

/* How many steps a point stays within reach; @most: for ever, as far as is known. */
static long steps_of(double cx, double cy, long most)
{
	double x = 0, y = 0, xx = 0, yy = 0;
	long n = 0;

	for (; n < most && xx + yy < 16; n++) {
		y = 2 * x * y + cy;
		x = xx - yy + cx;
		xx = x * x;
		yy = y * y;
	}
	return n;
}

/* From black at the edge over blue and gold and back, and black within. */
static void paint(unsigned char *point, long steps, long most)
{
	unsigned phase = (unsigned)(steps * 7) % 768, part = phase % 256;

	memset(point, 0, 3);
	if (steps == most)
		return;
	if (phase < 256) {
		point[1] = (unsigned char)(part / 2);
		point[2] = (unsigned char)part;
	} else if (phase < 512) {
		point[0] = (unsigned char)part;
		point[1] = (unsigned char)(128 + part / 4);
		point[2] = (unsigned char)(255 - part);
	} else {
		point[0] = (unsigned char)(255 - part);
		point[1] = (unsigned char)((255 - part) * 3 / 4);
	}
}

static int paint_rows(int64_t begin, int64_t end, void *arg)
{
	const struct job *job = arg;
	const struct picture *picture = &job->picture;
	double scale = 3.0 / job->zoom / (double)picture->width;

	for (int64_t row = begin; row < end; row++) {
		double y = job->y + ((double)picture->height / 2 - (double)row) * scale;

		for (long column = 0; column < picture->width; column++) {
			double x = job->x + ((double)column - (double)picture->width / 2) * scale;

			paint(picture_point(picture, column, row), steps_of(x, y, job->iterations),
			      job->iterations);
		}
	}
	return 0;
}

static int write_picture(void *arg)
{
	const struct job *job = arg;

	return picture_write(&job->picture, job->output);
}

static int draw(void *arg)
{
	struct job *job = arg;
	hilo_parallel_opts opts = {.size = sizeof(opts), .grain = 1, .progress_arg = &job->progress};
	int rc = picture_new(&job->picture);

	opts.progress = job->progress.on ? progress_tell : NULL;
	progress_step(&job->progress, "painting");
	if (rc == 0)
		rc = hilo_parallel_for_with(0, job->picture.height, paint_rows, job, &opts);
	progress_step(&job->progress, "writing");
	if (rc == 0)
		rc = hilo_run_in_executor(NULL, write_picture, job, HILO_FOREVER);
	progress_end(&job->progress);
	if (rc < 0 && rc != -ECANCELED)
		fprintf(stderr, "mandelbrot: %s: %s\n", job->output, hilo_strerror(rc));
	return rc;
}

static int parse_size(struct job *job, const char *text)
{
	int used = 0;

	if (sscanf(text, "%ldx%ld%n", &job->picture.width, &job->picture.height, &used) == 2 && !text[used] &&
	    job->picture.width > 0 && job->picture.height > 0 && job->picture.width <= 100000 &&
	    job->picture.height <= 100000)
		return 0;
	fprintf(stderr, "mandelbrot: -s takes a size like 640x480, not '%s'\n", text);
	return -1;
}

static int parse_numbers(char option, const char *text, double *x, double *y)
{
	int used = 0;
	int n = y ? sscanf(text, "%lf,%lf%n", x, y, &used) : sscanf(text, "%lf%n", x, &used);

	if (n == (y ? 2 : 1) && !text[used] && (y || *x > 0))
		return 0;
	fprintf(stderr, "mandelbrot: -%c takes %s, not '%s'\n", option,
		y ? "two numbers like -0.5,1" : "a number above 0", text);
	return -1;
}

static const struct option own[] = {
	{"output", required_argument, NULL, 'o'},     {"size", required_argument, NULL, 's'},
	{"iterations", required_argument, NULL, 'i'}, {"center", required_argument, NULL, 'c'},
	{"zoom", required_argument, NULL, 'z'},	      {NULL, 0, NULL, 0},
};

static int take(int option, const char *value, void *arg)
{
	struct job *job = arg;

	switch (option) {
	case 's':
		return parse_size(job, value);
	case 'i':
		return options_number("mandelbrot", 'i', value, 1, 1000000000, &job->iterations);
	case 'c':
		return parse_numbers('c', value, &job->x, &job->y);
	case 'z':
		return parse_numbers('z', value, &job->zoom, NULL);
	default:
		job->output = value;
		return 0;
	}
}

/* -1: go on; else the exit status. */
static int arguments_check(const struct job *job, char **argv)
{
	if (argv[0]) {
		fprintf(stderr, "mandelbrot: '%s' is no option; try --help\n", argv[0]);
		return 2;
	}
	if (picture_is_png(job->output) && !picture_has_png()) {
		fputs("mandelbrot: this program was built without zlib: it writes no PNG, but PPM\n", stderr);
		return 2;
	}
	return -1;
}

int main(int argc, char **argv)
{
	static struct job job = {
		.options = {.program = "mandelbrot", .help = help, .own = own, .take = take},
		.output = "mandelbrot.ppm",
		.iterations = 1000,
		.x = -0.75,
		.zoom = 1,
		.picture = {.width = 1280, .height = 960},
	};
	hilo_opts opts = {.size = sizeof(opts)};
	int status = options_parse(&job.options, argc, argv, &job), rc;

	if (status < 0)
		status = arguments_check(&job, argv + optind);
	if (status >= 0)
		return status;
	progress_begin(&job.progress, "mandelbrot", job.options.quiet);
	opts.workers = (unsigned)job.options.workers;
	rc = hilo_run(draw, &job, &opts);
	progress_end(&job.progress);
	return options_status(rc, 1);
}
