// SPDX-License-Identifier: GPL-2.0-or-later
#include "osc.h"

#include <stdio.h>
#include <string.h>

#ifdef _WIN32
#include <winsock2.h>
#define close closesocket
typedef SOCKET socket_t;
#define NO_SOCKET INVALID_SOCKET
#else
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
typedef int socket_t;
#define NO_SOCKET (-1)
#endif

static socket_t out = NO_SOCKET;

// Text, its NUL, and NULs up to a multiple of four; the length afterwards, 0 if it does not fit.
static size_t put_text(uint8_t *bytes, size_t length, const char *text)
{
	const size_t size = strlen(text), padded = (size / 4 + 1) * 4;
	if (length == 0 || length + padded > OSC_MAX)
		return 0;
	memset(bytes + length, 0, padded);
	memcpy(bytes + length, text, size);
	return length + padded;
}

static size_t put_word(uint8_t *bytes, size_t length, uint32_t value)
{
	if (length == 0 || length + 4 > OSC_MAX)
		return 0;
	for (int place = 0; place < 4; place++)
		bytes[length + place] = (uint8_t)(value >> (24 - 8 * place));
	return length + 4;
}

static uint32_t float_bits(double number)
{
	const float single = (float)number;
	uint32_t bits;
	memcpy(&bits, &single, sizeof(bits));
	return bits;
}

size_t osc_message(uint8_t bytes[OSC_MAX], const char *address, struct osc_value value)
{
	static const char *const tags[] = {",", ",s", ",f", ",i"};
	const char *tag = value.type == OSC_SWITCH ? (value.number != 0 ? ",T" : ",F") : tags[value.type];
	const size_t padded = (strlen(address) / 4 + 1) * 4;
	if (padded > OSC_MAX)
		return 0;
	memset(bytes, 0, padded);
	memcpy(bytes, address, strlen(address));
	const size_t length = put_text(bytes, padded, tag);
	if (value.type == OSC_TEXT)
		return put_text(bytes, length, value.text);
	if (value.type == OSC_NUMBER)
		return put_word(bytes, length, float_bits(value.number));
	if (value.type == OSC_WHOLE)
		return put_word(bytes, length, (uint32_t)(int32_t)value.number);
	return length;
}

static bool never_waits(socket_t handle)
{
#ifdef _WIN32
	u_long yes = 1;
	return ioctlsocket(handle, FIONBIO, &yes) == 0;
#else
	return fcntl(handle, F_SETFL, O_NONBLOCK) == 0 && fcntl(handle, F_SETFD, FD_CLOEXEC) == 0;
#endif
}

bool osc_start(void)
{
#ifdef _WIN32
	WSADATA about;
	if (WSAStartup(MAKEWORD(2, 2), &about) != 0)
		return false;
#endif
	out = socket(AF_INET, SOCK_DGRAM, 0);
	return out != NO_SOCKET && never_waits(out);
}

void osc_stop(void)
{
	if (out != NO_SOCKET)
		close(out);
	out = NO_SOCKET;
#ifdef _WIN32
	WSACleanup();
#endif
}

bool osc_send(int port, const char *address, struct osc_value value)
{
	uint8_t bytes[OSC_MAX];
	const size_t length = osc_message(bytes, address, value);
	if (length == 0 || out == NO_SOCKET)
		return false;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sendto(out, (const char *)bytes, (int)length, 0, (struct sockaddr *)&to, sizeof(to)) == (int)length;
}
