/* SPDX-License-Identifier: MIT */
/* crowd.c - see crowd.h. One thread, one epoll instance, no library. */
#include "tests/support/crowd.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"

/* Addresses that they come from, 127.0.0.2 on. */
#define ADDRESSES 64

enum client_state {
	CLIENT_CONNECTS,
	CLIENT_ASKS,
	CLIENT_LISTENS,
	CLIENT_STAYS,
};

struct client {
	int fd;
	enum client_state state;
	uint64_t question, answer;
	unsigned sent, got;
};

struct host {
	enum crowd_kind kind;
	struct sockaddr_in to;
	unsigned count, at_once, begun, done, retries;
	struct client *clients;
	int epoll;
};

static _Noreturn void crowd_fail(const char *what)
{
	(void)fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	_exit(1);
}

unsigned crowd_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	return limit.rlim_cur > 1u << 30 ? 1u << 30 : (unsigned)limit.rlim_cur;
}

static void client_watch(struct host *host, struct client *client, int op, unsigned events)
{
	struct epoll_event event = {.events = events, .data.ptr = client};

	if (epoll_ctl(host->epoll, op, client->fd, &event) < 0)
		crowd_fail("epoll_ctl");
}

static void client_begin(struct host *host, struct client *client)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	int one = 1, late = 1;

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (unsigned)(client->question % ADDRESSES));
	client->state = CLIENT_CONNECTS;
	client->sent = client->got = 0;
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0)
		crowd_fail("socket");
	(void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof(late));
	if (bind(client->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		crowd_fail("bind");
	if (connect(client->fd, (struct sockaddr *)&host->to, sizeof(host->to)) < 0 && errno != EINPROGRESS)
		crowd_fail("connect");
	client_watch(host, client, EPOLL_CTL_ADD, EPOLLOUT);
}

/* By a reset, so that the port is free at once. */
static void client_leave(struct client *client)
{
	struct linger none = {.l_onoff = 1};

	(void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	(void)close(client->fd);
	client->fd = -1;
}

/* It was turned away: of a storm it comes again. */
static void client_again(struct host *host, struct client *client, const char *what)
{
	if (host->kind != CROWD_STORM)
		crowd_fail(what);
	host->retries++;
	client_leave(client);
	client_begin(host, client);
}

static void client_next(struct host *host, struct client *client)
{
	client->question = host->begun++;
	client_begin(host, client);
}

static void client_done(struct host *host, struct client *client)
{
	host->done++;
	client->state = CLIENT_STAYS;
	if (host->kind != CROWD_STORM) {
		client_watch(host, client, EPOLL_CTL_DEL, 0);
		return;
	}
	client_leave(client);
	if (host->begun < host->count)
		client_next(host, client);
}

static void client_ask(struct host *host, struct client *client)
{
	size_t left = CROWD_QUESTION - client->sent;
	ssize_t n = send(client->fd, (char *)&client->question + client->sent,
			 host->kind == CROWD_SLOW ? 1 : left, MSG_NOSIGNAL);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		client_again(host, client, "send");
		return;
	}
	client->sent += (unsigned)n;
	if (client->sent < CROWD_QUESTION)
		return;
	client->state = CLIENT_LISTENS;
	if (host->kind == CROWD_DEAF)
		client_done(host, client);
	else
		client_watch(host, client, EPOLL_CTL_MOD, EPOLLIN);
}

static void client_listen(struct host *host, struct client *client)
{
	size_t left = CROWD_QUESTION - client->got;
	ssize_t n = recv(client->fd, (char *)&client->answer + client->got,
			 host->kind == CROWD_SLOW ? 1 : left, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		errno = n == 0 ? ENODATA : errno;
		client_again(host, client, "recv");
		return;
	}
	client->got += (unsigned)n;
	if (client->got < CROWD_QUESTION)
		return;
	if (client->answer != crowd_answer(client->question)) {
		errno = EBADMSG;
		crowd_fail("a wrong answer");
	}
	client_done(host, client);
}

static void client_event(struct host *host, struct client *client)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (client->state == CLIENT_CONNECTS) {
		(void)getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error) {
			errno = error;
			client_again(host, client, "connect");
			return;
		}
		client->state = CLIENT_ASKS;
	}
	if (client->state == CLIENT_ASKS)
		client_ask(host, client);
	else if (client->state == CLIENT_LISTENS)
		client_listen(host, client);
}

static void host_run(struct host *host)
{
	struct epoll_event events[256];
	unsigned first = host->kind == CROWD_STORM ? host->at_once : host->count;
	int n;

	host->epoll = epoll_create1(EPOLL_CLOEXEC);
	host->clients = calloc(first, sizeof(*host->clients));
	if (host->epoll < 0 || !host->clients)
		crowd_fail("a crowd");
	for (unsigned i = 0; i < first; i++)
		client_next(host, &host->clients[i]);
	while (host->done < host->count) {
		n = epoll_wait(host->epoll, events, 256, -1);
		if (n < 0 && errno != EINTR)
			crowd_fail("epoll_wait");
		for (int i = 0; i < n; i++)
			client_event(host, events[i].data.ptr);
	}
}

void crowd_main(int argc, char **argv)
{
	struct host host = {.to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	unsigned port;
	char byte = 'x';

	if (argc != 5 || strcmp(argv[1], "crowd") != 0)
		return;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)crowd_raise_limit();
	host.kind = (enum crowd_kind)atoi(argv[2]);
	host.count = (unsigned)atoi(argv[3]);
	host.at_once = (unsigned)atoi(argv[4]);
	if (read(STDIN_FILENO, &port, sizeof(port)) != sizeof(port))
		_exit(1); /* the test has failed */
	host.to.sin_port = htons((uint16_t)port);
	host_run(&host);
	if (write(STDOUT_FILENO, &byte, 1) != 1 || read(STDIN_FILENO, &byte, 1) < 0)
		crowd_fail("the test");
	_exit(0);
}

static void number_text(char text[16], unsigned number)
{
	(void)snprintf(text, 16, "%u", number);
}

void crowd_start(struct crowd *crowd, enum crowd_kind kind, unsigned count, unsigned at_once)
{
	static char name[] = "/proc/self/exe", word[] = "crowd";
	char number[3][16], *argv[] = {name, word, number[0], number[1], number[2], NULL};
	posix_spawn_file_actions_t actions;
	int in[2], out[2];

	number_text(number[0], kind);
	number_text(number[1], count);
	number_text(number[2], at_once < count ? at_once : count);
	TASK_CHECK(pipe2(in, O_CLOEXEC), ==, 0);
	TASK_CHECK(pipe2(out, O_CLOEXEC), ==, 0);
	TASK_CHECK(posix_spawn_file_actions_init(&actions), ==, 0);
	TASK_CHECK(posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO), ==, 0);
	TASK_CHECK(posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO), ==, 0);
	TASK_CHECK(posix_spawn(&crowd->pid, name, &actions, NULL, argv, environ), ==, 0);
	TASK_CHECK(posix_spawn_file_actions_destroy(&actions), ==, 0);
	TASK_CHECK(close(in[0]), ==, 0);
	TASK_CHECK(close(out[1]), ==, 0);
	crowd->to = in[1];
	crowd->from = out[0];
}

void crowd_go(struct crowd *crowd, unsigned port)
{
	TASK_CHECK(write(crowd->to, &port, sizeof(port)), ==, sizeof(port));
}

void crowd_wait(struct crowd *crowd)
{
	char byte;

	TASK_CHECK(hilo_fd_wait(crowd->from, HILO_READABLE, HILO_FOREVER), >=, 0);
	TASK_CHECK(read(crowd->from, &byte, 1), ==, 1); /* else it has said why not */
}

void crowd_end(struct crowd *crowd)
{
	int status;

	TASK_CHECK(close(crowd->to), ==, 0);
	TASK_CHECK(waitpid(crowd->pid, &status, 0), ==, crowd->pid);
	TASK_CHECK(status, ==, 0);
	TASK_CHECK(close(crowd->from), ==, 0);
}
