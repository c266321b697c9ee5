/* SPDX-License-Identifier: MIT */
/*
 * jpeg.c - see jpeg_impl.h.
 *
 * The decoder itself gives pictures of n/8 of the size, for much less than the whole; the smallest of those that
 * suffices is made smaller by the mean over the area of each pixel, line by line.
 */
#include "jpeg_impl.h"

#include <hilo/hilo.h>

#include <errno.h>
#include <jerror.h>
#include <stdlib.h>
#include <string.h>

#define QUALITY 85
#define COLOURS 3
#define MEMORY_MAX (64L << 20) /* of a picture; a progressive one is held as a whole */
#define SCANS_MAX 64	       /* of a progressive picture; more are there to make work */
#define SHOWN 4096	       /* of the input at a time: some 50 us of work */

/* ---- What libjpeg calls ---- */

static struct picture *picture_of(j_common_ptr common)
{
	return common->client_data;
}

static void on_error(j_common_ptr common)
{
	struct picture *picture = picture_of(common);

	picture->no_memory = common->err->msg_code == JERR_OUT_OF_MEMORY;
	picture->too_large = common->err->msg_code == JERR_NO_BACKING_STORE; /* MEMORY_MAX */
	common->err->format_message(common, picture->message);
	longjmp(picture->failed, 1);
}

/* Warnings are of pictures that are not quite right, and can be seen all the same. */
static void on_message(j_common_ptr common)
{
	(void)common;
}

/* Let it see so much more of what it was given. */
static void source_show(struct picture *picture, size_t more)
{
	if (more > picture->hidden)
		more = picture->hidden;
	picture->hidden -= more;
	picture->from.bytes_in_buffer += more;
}

static void source_ignore(j_decompress_ptr in)
{
	(void)in;
}

/*
 * Called when it has used up what it was shown: it returns then, to where it is called again with more. A picture that
 * has no end gets one.
 */
static boolean source_empty(j_decompress_ptr in)
{
	static const JOCTET end[] = {0xff, JPEG_EOI};

	if (picture_of((j_common_ptr)in)->hidden)
		return FALSE;
	in->src->next_input_byte = end;
	in->src->bytes_in_buffer = sizeof(end);
	return TRUE;
}

static void source_skip(j_decompress_ptr in, long n)
{
	struct jpeg_source_mgr *from = in->src;
	size_t skipped = n > 0 ? (size_t)n : 0;

	if (skipped > from->bytes_in_buffer)
		source_show(picture_of((j_common_ptr)in), skipped - from->bytes_in_buffer);
	if (skipped > from->bytes_in_buffer)
		skipped = from->bytes_in_buffer;
	from->next_input_byte += skipped;
	from->bytes_in_buffer -= skipped;
}

static void destination_room(j_compress_ptr out)
{
	struct picture *picture = picture_of((j_common_ptr)out);
	size_t room = picture->room ? picture->room * 2 : 32768;
	unsigned char *data = realloc(picture->data, room);

	if (!data) {
		picture->no_memory = true;
		longjmp(picture->failed, 1);
	}
	out->dest->next_output_byte = data + picture->room;
	out->dest->free_in_buffer = room - picture->room;
	picture->data = data;
	picture->room = room;
}

/* Called when all that there was is full. */
static boolean destination_full(j_compress_ptr out)
{
	destination_room(out);
	return TRUE;
}

static void destination_end(j_compress_ptr out)
{
	struct picture *picture = picture_of((j_common_ptr)out);

	picture->size = picture->room - out->dest->free_in_buffer;
}

/* ---- Steps ---- */

typedef void (*step_fn)(struct picture *picture, unsigned arg);

/* Make a step, which libjpeg may leave by longjmp. */
static int picture_try(struct picture *picture, step_fn step, unsigned arg)
{
	if (setjmp(picture->failed) == 0) {
		step(picture, arg);
		return 0;
	}
	if (picture->no_memory)
		return -ENOMEM;
	if (picture->too_large)
		return hilo_fail(-EFBIG, "a progressive JPEG of so many pixels takes too much memory");
	return hilo_fail(-EBADMSG, "no JPEG that can be read: %s", picture->message);
}

static void open_step(struct picture *picture, unsigned arg)
{
	(void)arg;
	(void)jpeg_read_header(&picture->in, TRUE);
}

/* The smallest n/8 of the size at which it is still as wide as the output. */
static void choose_scale(struct picture *picture)
{
	picture->in.scale_denom = 8;
	for (picture->in.scale_num = 1; picture->in.scale_num < 8; picture->in.scale_num++) {
		jpeg_calc_output_dimensions(&picture->in);
		if (picture->in.output_width >= picture->width &&
		    picture->in.output_height >= picture->height)
			break;
	}
}

static void begin_step(struct picture *picture, unsigned width)
{
	struct jpeg_decompress_struct *in = &picture->in;
	struct jpeg_compress_struct *out = &picture->out;

	picture->width = width < in->image_width ? width : in->image_width;
	picture->height = (unsigned)((uint64_t)in->image_height * picture->width / in->image_width);
	picture->height += picture->height == 0;
	in->out_color_space = JCS_RGB;
	in->dct_method = JDCT_ISLOW;
	in->buffered_image = jpeg_has_multiple_scans(in);
	choose_scale(picture);
	(void)jpeg_start_decompress(in);
	picture->phase = in->buffered_image ? PICTURE_READING : PICTURE_LINES;

	if (picture->from.bytes_in_buffer > SHOWN) { /* from here on in pieces */
		picture->hidden = picture->from.bytes_in_buffer - SHOWN;
		picture->from.bytes_in_buffer = SHOWN;
	}

	out->image_width = picture->width;
	out->image_height = picture->height;
	out->input_components = COLOURS;
	out->in_color_space = JCS_RGB;
	jpeg_set_defaults(out);
	jpeg_set_quality(out, QUALITY, TRUE);
	jpeg_start_compress(out, TRUE);
}

/* A progressive picture: take in some of it. */
static void reading_step(struct picture *picture, unsigned arg)
{
	struct jpeg_decompress_struct *in = &picture->in;
	int rc;

	(void)arg;
	if (in->input_scan_number > SCANS_MAX) {
		(void)strcpy(picture->message, "it has too many scans");
		longjmp(picture->failed, 1);
	}
	rc = jpeg_consume_input(in);
	if (rc == JPEG_SUSPENDED)
		source_show(picture, SHOWN);
	if (rc != JPEG_REACHED_EOI)
		return;
	(void)jpeg_start_output(in, in->input_scan_number);
	picture->phase = PICTURE_LINES;
}

/* The decoded line, as wide as the output. */
static void line_shrink(struct picture *picture)
{
	const JSAMPLE *read = picture->read;
	unsigned from_width = picture->in.output_width, width = picture->width;
	float ratio = (float)from_width / (float)width;

	for (unsigned x = 0; x < width; x++) {
		float from = (float)x * ratio, to = from + ratio, sum[COLOURS] = {0}, weight, all = 0;

		for (unsigned i = (unsigned)from; i < from_width && (float)i < to; i++) {
			weight = ((float)(i + 1) < to ? (float)(i + 1) : to) -
				 ((float)i > from ? (float)i : from);
			all += weight;
			for (unsigned c = 0; c < COLOURS; c++)
				sum[c] += weight * (float)read[i * COLOURS + c];
		}
		for (unsigned c = 0; c < COLOURS; c++)
			picture->line[x * COLOURS + c] = all > 0 ? sum[c] / all : 0;
	}
}

static void sum_add(struct picture *picture, float weight)
{
	for (unsigned i = 0; i < picture->width * COLOURS; i++)
		picture->sum[i] += weight * picture->line[i];
}

/* `sum` is a whole line: encode it. */
static void sum_write(struct picture *picture)
{
	JSAMPROW row = picture->ready;

	for (unsigned i = 0; i < picture->width * COLOURS; i++) {
		float value = picture->sum[i] + 0.5f;

		row[i] = (JSAMPLE)(value > 255 ? 255 : value);
		picture->sum[i] = 0;
	}
	(void)jpeg_write_scanlines(&picture->out, &row, 1);
	picture->next++;
}

/*
 * A line more of the input, which is a part of one line of the output, or of two; or, of a line that is not there yet,
 * what can be decoded of what is shown. For libjpeg decodes the blocks of eight or sixteen lines at once, all over the
 * width of the picture.
 */
static void line_step(struct picture *picture, unsigned arg)
{
	struct jpeg_decompress_struct *in = &picture->in;
	JSAMPROW row = picture->read;
	float ratio = (float)picture->height / (float)in->output_height, from, to, end;

	(void)arg;
	from = (float)in->output_scanline * ratio;
	if (jpeg_read_scanlines(in, &row, 1) == 0) {
		source_show(picture, SHOWN);
		return;
	}
	to = in->output_scanline == in->output_height ? (float)picture->height : from + ratio;
	line_shrink(picture);
	while (picture->next < picture->height && from < to) {
		end = (float)(picture->next + 1);
		sum_add(picture, (to < end ? to : end) - from);
		from = end;
		if (to < end)
			break;
		sum_write(picture);
	}
	if (in->output_scanline < in->output_height)
		return;
	while (picture->next < picture->height) /* what rounding has left over */
		sum_write(picture);
	jpeg_finish_compress(&picture->out);
	picture->phase = PICTURE_DONE;
}

/* ---- The picture ---- */

static void create_step(struct picture *picture, unsigned arg)
{
	(void)arg;
	jpeg_create_decompress(&picture->in);
	picture->in.mem->max_memory_to_use = MEMORY_MAX;
	jpeg_create_compress(&picture->out);
}

int picture_open(struct picture *picture, const void *data, size_t size)
{
	int rc;

	memset(picture, 0, sizeof(*picture));
	picture->in.err = picture->out.err = jpeg_std_error(&picture->errors);
	picture->errors.error_exit = on_error;
	picture->errors.output_message = on_message;
	picture->in.client_data = picture->out.client_data = picture;
	rc = picture_try(picture, create_step, 0);
	if (rc < 0)
		return rc;
	picture->from.next_input_byte = data;
	picture->from.bytes_in_buffer = size;
	picture->from.init_source = source_ignore;
	picture->from.fill_input_buffer = source_empty;
	picture->from.skip_input_data = source_skip;
	picture->from.resync_to_restart = jpeg_resync_to_restart;
	picture->from.term_source = source_ignore;
	picture->in.src = &picture->from;
	picture->destination.init_destination = destination_room;
	picture->destination.empty_output_buffer = destination_full;
	picture->destination.term_destination = destination_end;
	picture->out.dest = &picture->destination;
	return picture_try(picture, open_step, 0);
}

void picture_close(struct picture *picture)
{
	jpeg_destroy_decompress(&picture->in);
	jpeg_destroy_compress(&picture->out);
	free(picture->read);
	free(picture->ready);
	free(picture->line);
	free(picture->sum);
	free(picture->data);
}

int picture_begin(struct picture *picture, unsigned width)
{
	int rc = picture_try(picture, begin_step, width);
	size_t samples = (size_t)picture->width * COLOURS;

	if (rc < 0)
		return rc;
	picture->read = malloc((size_t)picture->in.output_width * COLOURS);
	picture->ready = malloc(samples);
	picture->line = malloc(samples * sizeof(float));
	picture->sum = calloc(samples, sizeof(float));
	return picture->read && picture->ready && picture->line && picture->sum ? 0 : -ENOMEM;
}

int picture_step(struct picture *picture)
{
	int rc = picture_try(picture, picture->phase == PICTURE_READING ? reading_step : line_step, 0);

	return rc < 0 ? rc : picture->phase != PICTURE_DONE;
}
