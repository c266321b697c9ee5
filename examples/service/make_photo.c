/* SPDX-License-Identifier: MIT */
/*
 * make_photo - a JPEG to try the service with: service_photo WIDTH HEIGHT [progressive] >FILE
 *
 * Hills under a sky, with the grain of a camera, so that there is as much in it as in a photo. The same each time.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#define QUALITY 90
#define SIDE_MAX 20000

/* -1 to 1, and smooth: a hill every @period pixels. */
static double wave(double x, double period)
{
	double t = x / period - (double)(long)(x / period);

	t = t < 0.5 ? 4 * t - 1 : 3 - 4 * t;
	return t * (1.5 - 0.5 * t * t);
}

static int grain(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return (int)(*state >> 24) % 17 - 8;
}

static JSAMPLE clamp(double value)
{
	return (JSAMPLE)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void line_draw(JSAMPLE *line, unsigned y, unsigned width, unsigned height, uint32_t *state)
{
	double down = (double)y / height;

	for (unsigned x = 0; x < width; x++) {
		double ridge = 0.55 + 0.1 * wave(x, width / 2.5) + 0.03 * wave(x, width / 11.0) +
			       0.008 * wave(x, width / 47.0);
		double shade = 30 * wave(x + 2.0 * y, 37) + 20 * wave(3.0 * x + height - y, 91);
		int noise = grain(state);
		int sky = down < ridge;

		line[3 * x] = clamp((sky ? 90 + 120 * down : 60 + shade) + noise);
		line[3 * x + 1] = clamp((sky ? 140 + 80 * down : 110 + shade) + noise);
		line[3 * x + 2] = clamp((sky ? 230 - 20 * down : 50 + shade / 2) + noise);
	}
}

static void photo_write(unsigned width, unsigned height, int progressive, JSAMPLE *line)
{
	struct jpeg_compress_struct out;
	struct jpeg_error_mgr errors;
	uint32_t state = 1;

	out.err = jpeg_std_error(&errors); /* which ends the program, with a message */
	jpeg_create_compress(&out);
	jpeg_stdio_dest(&out, stdout);
	out.image_width = width;
	out.image_height = height;
	out.input_components = 3;
	out.in_color_space = JCS_RGB;
	jpeg_set_defaults(&out);
	jpeg_set_quality(&out, QUALITY, TRUE);
	if (progressive)
		jpeg_simple_progression(&out);
	jpeg_start_compress(&out, TRUE);
	for (unsigned y = 0; y < height; y++) {
		line_draw(line, y, width, height, &state);
		(void)jpeg_write_scanlines(&out, &line, 1);
	}
	jpeg_finish_compress(&out);
	jpeg_destroy_compress(&out);
}

int main(int argc, char **argv)
{
	long width = argc > 2 ? strtol(argv[1], NULL, 10) : 0,
	     height = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
	JSAMPLE *line;

	if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX) {
		fprintf(stderr, "Usage: %s WIDTH HEIGHT [progressive] >FILE\n", argv[0]);
		return 1;
	}
	line = malloc((size_t)width * 3);
	if (!line)
		return 1;
	photo_write((unsigned)width, (unsigned)height, argc > 3 && strcmp(argv[3], "progressive") == 0, line);
	free(line);
	return fflush(stdout) != 0;
}
