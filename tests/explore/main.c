/* SPDX-License-Identifier: MIT */
/* main.c - the command line of a program of models, and what it prints. */
#include "tests/explore/explore_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_BOUND 3

struct options explore_options = {.seconds = 1e9, .bound = -1, .merge = true, .commute = true, .retry = true};
int explore_mutant;

static int usage(const char *program)
{
	printf("usage: %s [OPTION...]\n"
	       "  --list         name the models and what their threads do\n"
	       "  --model=NAME   run this one only\n"
	       "  --bound=N      preemptions at most (each model has a default)\n"
	       "  --short        one less for the models that take long; --long: those only\n"
	       "  --mutant=N     plant this fault\n"
	       "  --trace        print the execution that fails, step by step\n"
	       "  --seconds=S    give up after so long; status 2\n"
	       "  --no-merge     run states again that were met before (R4 of search.c)\n"
	       "  --no-commute   preempt everywhere (R2, R3)\n"
	       "  --no-retry     look at old values and retry (R5, R6)\n",
	       program);
	return 64;
}

/* The value of @argument if it is option @name, which ends in '='. */
static const char *option_value(const char *argument, const char *name)
{
	size_t length = strlen(name);

	return strncmp(argument, name, length) == 0 ? argument + length : NULL;
}

static bool option_parse(const char *argument)
{
	struct options *o = &explore_options;
	const char *value;

	if ((value = option_value(argument, "--model=")) != NULL)
		o->model = value;
	else if ((value = option_value(argument, "--bound=")) != NULL)
		o->bound = atoi(value);
	else if ((value = option_value(argument, "--mutant=")) != NULL)
		explore_mutant = atoi(value);
	else if ((value = option_value(argument, "--seconds=")) != NULL)
		o->seconds = atof(value);
	else if (strcmp(argument, "--no-merge") == 0)
		o->merge = false;
	else if (strcmp(argument, "--no-commute") == 0)
		o->commute = false;
	else if (strcmp(argument, "--no-retry") == 0)
		o->retry = false;
	else if (strcmp(argument, "--short") == 0)
		o->short_ones = true;
	else if (strcmp(argument, "--long") == 0)
		o->long_ones = true;
	else if (strcmp(argument, "--trace") == 0)
		o->trace = true;
	else if (strcmp(argument, "--list") == 0)
		o->list = true;
	else
		return false;
	return true;
}

static void failure_print(const struct explore_model *model, const struct findings *found)
{
	char what[512];

	(void)snprintf(what, sizeof(what), "%s", found->failure);
	if (explore_options.trace)
		search_repeat();
	printf("%-24s %s after %" PRIu64 " runs, %d preemptions: %s\n", model->name,
	       model->must_fail != NULL ? "FOUND" : "FAILED", found->runs, found->preemptions, what);
}

static bool is_shortened(const struct explore_model *model)
{
	return model->is_long && explore_options.short_ones;
}

static void complete_print(const struct explore_model *model, int bound, const struct findings *found)
{
	printf("%-24s %s: bound %d, %" PRIu64 " executions, %" PRIu64 "%s outcomes, %" PRIu64
	       " runs, %.2f s\n",
	       model->name, is_shortened(model) ? "SHORTENED" : "COMPLETE", bound, found->executions,
	       found->ends, found->ends_are_more ? "+" : "", found->runs, found->seconds);
}

/* The status of a search that had to end with a failure. */
static enum result failure_judge(const struct explore_model *model, const struct findings *found)
{
	if (found->result == RESULT_INCOMPLETE)
		return RESULT_INCOMPLETE;
	if (found->result == RESULT_FAILED && strstr(found->failure, model->must_fail) != NULL)
		return RESULT_COMPLETE;
	printf("%-24s MISSED: \"%s\" had to be found\n", model->name, model->must_fail);
	return RESULT_FAILED;
}

static enum result model_run(const struct explore_model *model, struct findings *found)
{
	int bound = model->bound > 0 ? model->bound : DEFAULT_BOUND;

	bound -= is_shortened(model);
	if (explore_options.bound >= 0)
		bound = explore_options.bound;
	search_run(model, bound, found);
	if (found->result == RESULT_COMPLETE)
		complete_print(model, bound, found);
	else if (found->result == RESULT_FAILED)
		failure_print(model, found);
	else
		printf("%-24s INCOMPLETE: bound %d, %" PRIu64 " runs in %.1f s\n", model->name, bound,
		       found->runs, found->seconds);
	if (model->must_fail != NULL)
		found->result = failure_judge(model, found);
	(void)fflush(stdout);
	return found->result;
}

static bool is_asked_for(const struct explore_model *model)
{
	if (explore_options.long_ones && !model->is_long)
		return false;
	return explore_options.model == NULL || strcmp(explore_options.model, model->name) == 0;
}

int explore_main(int argc, char **argv, const struct explore_model *models, size_t count)
{
	enum result worst = RESULT_COMPLETE;
	uint64_t executions = 0;
	double seconds = 0;
	unsigned n = 0;

	for (int i = 1; i < argc; i++)
		if (!option_parse(argv[i]))
			return usage(argv[0]);
	fiber_catch_crashes();
	for (size_t i = 0; i < count && worst != RESULT_FAILED; i++) {
		struct findings found;
		enum result result;

		if (!is_asked_for(&models[i]))
			continue;
		n++;
		if (explore_options.list) {
			printf("%-24s %s\n", models[i].name, models[i].operations);
			continue;
		}
		result = model_run(&models[i], &found);
		executions += found.executions;
		seconds += found.seconds;
		if (result != RESULT_COMPLETE)
			worst = result;
	}
	if (n == 0)
		return usage(argv[0]);
	if (!explore_options.list && worst != RESULT_FAILED)
		printf("%u models, %" PRIu64 " executions, %.2f s\n", n, executions, seconds);
	return (int)worst;
}
