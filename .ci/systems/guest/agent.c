/*
 * agent: in the guest, runs commands for shim.c, each as if it had been started where the shim was.
 *
 * A command is one control connection: the shim sends the arguments; the agent answers with a port; the shim connects
 * there three times, and these sockets are the command's own stdin, stdout and stderr, so that data, its end and broken
 * pipes pass through the two kernels and nothing here. After that the control connection carries signal numbers one way
 * and the exit status the other. If it breaks, the shim is gone, and the command is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { agent_port = 5555, max_arguments = 1024, max_argument_bytes = 128 * 1024 };

static void check(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
}

/* The listening socket; its port is the given one, or the kernel's choice for 0. */
static int listen_on(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(fd, "socket");
	check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof (int)), "setsockopt");
	check(bind(fd, (struct sockaddr *)&address, sizeof (address)), "bind");
	check(listen(fd, 64), "listen");
	return (fd);
}

static void read_fully(int fd, void *buffer, size_t bytes)
{
	for (char *p = buffer; bytes > 0;) {
		ssize_t n = read(fd, p, bytes);
		if (n <= 0)
			exit(1);
		p += n;
		bytes -= n;
	}
}

/* A 32-bit length, then the arguments, each with its zero. */
static char **read_arguments(int control)
{
	uint32_t bytes;
	read_fully(control, &bytes, sizeof (bytes));
	if (bytes == 0 || bytes > max_argument_bytes)
		exit(1);
	char *text = malloc(bytes), **arguments = calloc(max_arguments + 1, sizeof (char *));
	read_fully(control, text, bytes);
	size_t count = 0;
	for (char *p = text; p < text + bytes && count < max_arguments; p += strlen(p) + 1)
		arguments[count++] = p;
	return (arguments);
}

/* Starts the command on three connections to a port of its own; they come in the order 0, 1, 2. */
static pid_t start(int control, char **arguments)
{
	int listener = listen_on(0), ends[3];
	struct sockaddr_in address;
	check(getsockname(listener, (struct sockaddr *)&address, &(socklen_t){ sizeof (address) }), "getsockname");
	check(write(control, &address.sin_port, sizeof (address.sin_port)), "write port");
	for (int i = 0; i < 3; i++)
		check(ends[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept");
	pid_t pid = fork();
	check(pid, "fork");
	if (pid == 0) {
		for (int i = 0; i < 3; i++)
			dup2(ends[i], i);
		signal(SIGCHLD, SIG_DFL);
		execvp(arguments[0], arguments);
		fprintf(stderr, "%s: command not found\n", arguments[0]);
		_exit(127);
	}
	for (int i = 0; i < 3; i++)
		close(ends[i]);
	close(listener);
	return (pid);
}

/* Passes signals on until the command is gone; answers with wait(2)'s status. */
static void attend(int control, pid_t pid)
{
	struct pollfd polled[2] = { { .fd = pidfd_open(pid, 0), .events = POLLIN }, { .fd = control, .events = POLLIN } };
	uint8_t number;
	uint32_t status;

	check(polled[0].fd, "pidfd_open");
	while (poll(polled, 2, -1) > 0 && polled[0].revents == 0) {
		if (read(control, &number, 1) == 1) {
			kill(pid, number);
		} else {
			kill(pid, SIGKILL);
			polled[1].fd = -1;
		}
	}
	check(waitpid(pid, (int *)&status, 0), "waitpid");
	if (polled[1].fd >= 0)
		(void) !write(control, &status, sizeof (status));
}

int main(void)
{
	int listener = listen_on(agent_port);

	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
	puts("agent ready");
	fflush(stdout);
	for (;;) {
		int control = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		check(control, "accept");
		pid_t pid = fork();
		check(pid, "fork");
		if (pid == 0) {
			signal(SIGCHLD, SIG_DFL);
			close(listener);
			attend(control, start(control, read_arguments(control)));
			return (0);
		}
		close(control);
	}
}
