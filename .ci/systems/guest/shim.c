/*
 * shim NAMESPACE COMMAND [ARGUMENT...]: runs COMMAND in the guest as if it ran here. The other end is agent.c.
 *
 * stdin, stdout and stderr pass through with backpressure and broken pipes; the exit status is the command's, and if that
 * died of a signal, so does this process. TERM, INT and HUP go to the command; when it is gone this process ends at once,
 * whether or not anybody takes the last of the output. KILL takes the command with it, by breaking the connection.
 * NAMESPACE is the network namespace (/proc/PID/ns/net) in which the guest is. Status 125: the guest did not answer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { agent_port = 5555, buffer_bytes = 256 * 1024 };
static const char guest_address[] = "10.0.2.15";

/* _exit, not exit: other threads may be in the middle of a read or write, and nothing here is buffered. */
static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "the guest does not answer: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static int dial(uint16_t network_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = network_port };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, guest_address, &address.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof (address)) < 0)
		fail("connect");
	return (fd);
}

static void send_arguments(int control, char **arguments)
{
	uint32_t bytes = 0;
	for (char **a = arguments; *a; a++)
		bytes += strlen(*a) + 1;
	char *message = malloc(sizeof (bytes) + bytes), *p = message + sizeof (bytes);
	memcpy(message, &bytes, sizeof (bytes));
	for (char **a = arguments; *a; a++)
		p = stpcpy(p, *a) + 1;
	if (write(control, message, p - message) != p - message)
		fail("write");
	free(message);
}

struct way {
	int from, to;
};

/*
 * Copies until the source ends or the target breaks. Then the guest's side learns of it: an ended stdin is shut down, a
 * broken stdout is closed, so that the command over there gets the broken pipe it would get here.
 */
static void *copy(void *argument)
{
	struct way way = *(struct way *)argument;
	char *buffer = malloc(buffer_bytes);
	ssize_t got;

	while ((got = read(way.from, buffer, buffer_bytes)) > 0) {
		for (char *p = buffer; got > 0;) {
			ssize_t n = write(way.to, p, got);
			if (n < 0) {
				close(way.from);
				return (NULL);
			}
			p += n;
			got -= n;
		}
	}
	shutdown(way.to, SHUT_WR);
	return (NULL);
}

/* Ends as the command did. */
static _Noreturn void end_with(int status)
{
	if (WIFSIGNALED(status)) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, WTERMSIG(status));
		signal(WTERMSIG(status), SIG_DFL);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		raise(WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

/* Forwards signals until the status comes. Returns it, and whether there was a signal. */
static int await_status(int control, int signals, int *was_signalled)
{
	struct pollfd polled[2] = { { .fd = control, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo info;
	uint32_t status;

	for (;;) {
		poll(polled, 2, -1);
		if (polled[1].revents && read(signals, &info, sizeof (info)) == sizeof (info)) {
			*was_signalled = 1;
			(void) !write(control, &(uint8_t){ info.ssi_signo }, 1);
		}
		if (!polled[0].revents)
			continue;
		if (recv(control, &status, sizeof (status), MSG_WAITALL) != sizeof (status))
			fail("hung up");
		return (status);
	}
}

int main(int count, char **arguments)
{
	sigset_t forwarded;
	pthread_t threads[3];
	uint16_t port;
	int was_signalled = 0;

	int namespace = count > 2 ? open(arguments[1], O_RDONLY | O_CLOEXEC) : -1;
	if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0)
		fail("namespace");
	sigemptyset(&forwarded);
	sigaddset(&forwarded, SIGTERM);
	sigaddset(&forwarded, SIGINT);
	sigaddset(&forwarded, SIGHUP);
	sigprocmask(SIG_BLOCK, &forwarded, NULL);
	signal(SIGPIPE, SIG_IGN);

	int control = dial(htons(agent_port));
	send_arguments(control, arguments + 2);
	if (recv(control, &port, sizeof (port), MSG_WAITALL) != sizeof (port))
		fail("no port");
	int in = dial(port), out = dial(port), err = dial(port);
	struct way ways[3] = { { 0, in }, { out, 1 }, { err, 2 } };
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, copy, &ways[i]);

	int status = await_status(control, signalfd(-1, &forwarded, SFD_CLOEXEC), &was_signalled);
	for (int i = 1; i < 3 && !was_signalled; i++)
		pthread_join(threads[i], NULL);
	end_with(status);
}
