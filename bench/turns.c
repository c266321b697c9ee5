/* SPDX-License-Identifier: MIT */
/*
 * turns.c - load for several servers, in turn, for a tenth of a second each: bench/turns starts them, and this.
 *
 * A machine that others use as well changes its mood by more than the servers differ, within seconds. Servers that wait
 * for their turn cost nothing, so all of them run, and each is measured beside the others in the same mood; the ratios
 * of one round are compared, not rates of different minutes. One thread, level-triggered epoll: a client like any.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define SERVERS_MOST 16
#define EVENTS 256
#define ECHO_BYTES 64
#define HTTP_REQUEST "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

struct client {
	int fd;
	size_t have; /* of the answer */
};

struct server {
	const char *name;
	unsigned port;
	clockid_t cpu; /* what its process has used */
	int epoll;
	struct client *clients;
	size_t answer;	       /* bytes of one */
	double *rate, *cpu_us; /* of each round */
};

static struct server servers[SERVERS_MOST];
static size_t count, clients, rounds;
static double span;
static char request[256], received[65536];
static size_t request_size;

static _Noreturn void die(const char *what, const struct server *server)
{
	(void)fprintf(stderr, "hilo-turns: %s: %s: %s\n", server ? server->name : "load", what,
		      strerror(errno));
	exit(1);
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) < 0)
		die("a clock", NULL);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void ask(const struct server *server, struct client *client)
{
	client->have = 0;
	if (send(client->fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size)
		die("send", server);
}

static size_t hear(const struct server *server, const struct client *client)
{
	ssize_t n = recv(client->fd, received, sizeof(received), 0);

	if (n <= 0)
		die("recv", server);
	return (size_t)n;
}

static void server_connect(struct server *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)server->port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;

	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < clients; i++) {
		struct client *client = &server->clients[i];
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

		client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			die("connect", server);
		(void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
			die("epoll_ctl", server);
	}
}

/* How long an answer is: until nothing has come for a while. */
static void server_ask_length(struct server *server)
{
	struct epoll_event event;

	ask(server, &server->clients[0]);
	while (epoll_wait(server->epoll, &event, 1, server->answer ? 100 : 5000) > 0)
		server->answer += hear(server, &server->clients[0]);
	if (!server->answer ||
	    (memcmp(request, "GET", 3) == 0 && !memmem(received, server->answer, "200 OK", 6)))
		die("no answer, or another one", server);
}

/* @name:port:pid */
static void server_add(char *text)
{
	struct server *server = &servers[count++];
	char *pid = strrchr(text, ':'), *port;

	if (!pid || (*pid++ = '\0', !(port = strrchr(text, ':'))))
		die("NAME:PORT:PID are needed", NULL);
	*port++ = '\0';
	server->name = text;
	server->port = (unsigned)atoi(port);
	if ((errno = clock_getcpuclockid(atoi(pid), &server->cpu)))
		die("its process", server);
	server->clients = calloc(clients, sizeof(*server->clients));
	server->rate = calloc(rounds, sizeof(double));
	server->cpu_us = calloc(rounds, sizeof(double));
	if (!server->clients || !server->rate || !server->cpu_us)
		die("memory", server);
	server_connect(server);
	server_ask_length(server);
}

/* All clients ask, again and again until the time is over, and have their answers. */
static void turn(struct server *server, size_t round)
{
	double cpu = seconds(server->cpu), begin = seconds(CLOCK_MONOTONIC), now = begin;
	size_t answers = 0, waiting = clients;
	struct epoll_event events[EVENTS];

	for (size_t i = 0; i < clients; i++)
		ask(server, &server->clients[i]);
	while (waiting) {
		int n = epoll_wait(server->epoll, events, EVENTS, 10000);

		if (n <= 0)
			die("no answer for 10 s", server);
		now = seconds(CLOCK_MONOTONIC);
		for (int i = 0; i < n; i++) {
			struct client *client = events[i].data.ptr;

			client->have += hear(server, client);
			if (client->have < server->answer)
				continue;
			answers++;
			if (now - begin < span)
				ask(server, client);
			else
				waiting--;
		}
	}
	server->rate[round] = (double)answers / (now - begin);
	server->cpu_us[round] = (seconds(server->cpu) - cpu) * 1e6 / (double)answers;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of @figures, or of how many times those of @base they are: the median, and the quarters around it. */
static void summary(const double *figures, const double *base, double ret[3])
{
	double *sorted = malloc(rounds * sizeof(*sorted));

	if (!sorted)
		die("memory", NULL);
	for (size_t i = 0; i < rounds; i++)
		sorted[i] = base ? figures[i] / base[i] : figures[i];
	qsort(sorted, rounds, sizeof(*sorted), compare);
	for (size_t i = 0; i < 3; i++)
		ret[i] = sorted[(rounds - 1) * (i + 1) / 4];
	free(sorted);
}

static void report(const struct server *server)
{
	double rate[3], rates[3], cpu[3], cpus[3];

	summary(server->rate, NULL, rate);
	summary(server->rate, servers[0].rate, rates);
	summary(server->cpu_us, NULL, cpu);
	summary(server->cpu_us, servers[0].cpu_us, cpus);
	(void)printf("%-12s %9.0f  %.3f (%.3f to %.3f) %9.2f  %.3f (%.3f to %.3f)\n", server->name, rate[1],
		     rates[1], rates[0], rates[2], cpu[1], cpus[1], cpus[0], cpus[2]);
}

int main(int argc, char **argv)
{
	if (argc < 6 || argc > 5 + SERVERS_MOST || atoi(argv[2]) < 1 || atoi(argv[3]) < 4 ||
	    atoi(argv[4]) < 1) {
		(void)fprintf(stderr,
			      "usage: hilo-turns echo|http MILLISECONDS ROUNDS CLIENTS NAME:PORT:PID...\n"
			      "4 rounds at least, %d servers at most; bench/turns starts them\n",
			      SERVERS_MOST);
		return 2;
	}
	request_size = strcmp(argv[1], "http") == 0 ? sizeof(HTTP_REQUEST) - 1 : ECHO_BYTES;
	memset(request, 'x', sizeof(request));
	if (strcmp(argv[1], "http") == 0)
		memcpy(request, HTTP_REQUEST, request_size);
	span = atoi(argv[2]) / 1e3;
	rounds = (size_t)atoi(argv[3]);
	clients = (size_t)atoi(argv[4]);
	for (int i = 5; i < argc; i++)
		server_add(argv[i]);
	for (size_t i = 0; i < count; i++)
		turn(&servers[i], 0); /* to be warm */
	for (size_t round = 0; round < rounds; round++)
		for (size_t i = 0; i < count; i++)
			turn(&servers[(round + i) % count], round);
	(void)printf("%-12s %9s  %-23s %9s  %s\n", "", "per s", "times the first", "CPU us",
		     "times the first");
	for (size_t i = 0; i < count; i++)
		report(&servers[i]);
	return 0;
}
