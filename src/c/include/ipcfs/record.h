/*
 * The record that the server takes and gives, and how struct kevent becomes one: they are alike in DragonFly's form. In the others,
 * filters have other numbers, timers have units, and events lack the bits of actions.
 */
#ifndef IPCFS_RECORD_H
#define IPCFS_RECORD_H

#include <errno.h>
#include <string.h>

struct ipcfs_record {
	uint64_t ident;
	int16_t filter;
	uint16_t flags;
	uint32_t fflags;
	int64_t data;
	uint64_t udata;
};

#define IPCFS_FILTER_TIMER (-7)
#define IPCFS_FILTER_USER (-9)
/* Filters that the server does not have are EINVAL there, and keep their number in its answer. */
#define IPCFS_FILTER_UNKNOWN (-100)

#if defined(IPCFS_FREEBSD) || defined(IPCFS_NETBSD)

#if defined(IPCFS_NETBSD)
#define IPCFS_NUMBER(filter) (-1 - (int)(filter))
#define IPCFS_FILTER(number) ((uint32_t)(-1 - (number)))
#define IPCFS_UNIT_MASK 0x0000000fU
#define IPCFS_UNITS (NOTE_SECONDS | NOTE_USECONDS | NOTE_NSECONDS | NOTE_ABSTIME)
#else
#define IPCFS_NUMBER(filter) ((int)(filter))
#define IPCFS_FILTER(number) ((short)(number))
#define IPCFS_UNIT_MASK 0x0000000fU
#define IPCFS_UNITS (NOTE_SECONDS | NOTE_MSECONDS | NOTE_USECONDS | NOTE_NSECONDS | NOTE_ABSTIME)
#endif
#define IPCFS_SHARED_FILTERS 7
#define IPCFS_ACTIONS (EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE)

static __inline__ int16_t ipcfs_filter_to_number(int filter)
{
	if (filter == IPCFS_NUMBER(EVFILT_USER))
		return IPCFS_FILTER_USER;
	if (filter < 0 && filter >= -IPCFS_SHARED_FILTERS)
		return (int16_t)filter;
	return (int16_t)(IPCFS_FILTER_UNKNOWN + filter);
}

static __inline__ int ipcfs_number_to_filter(int number)
{
	if (number == IPCFS_FILTER_USER)
		return IPCFS_NUMBER(EVFILT_USER);
	return number < IPCFS_FILTER_UNKNOWN / 2 ? number - IPCFS_FILTER_UNKNOWN : number;
}

/* `data` in the units of `fflags` as milliseconds, rounded up; of a moment (NOTE_ABSTIME) those until then. */
static __inline__ int64_t ipcfs_milliseconds(int64_t data, uint32_t fflags)
{
	const uint32_t unit = fflags & IPCFS_UNIT_MASK;
	int64_t per_millisecond = 1;

	if (unit == NOTE_SECONDS) {
		data = data > INT64_MAX / 1000 ? INT64_MAX : data * 1000;
	} else if (unit == NOTE_USECONDS || unit == NOTE_NSECONDS) {
		per_millisecond = unit == NOTE_USECONDS ? 1000 : 1000000;
		data = data / per_millisecond + (data % per_millisecond > 0);
	}
	if ((fflags & NOTE_ABSTIME) != 0) {
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		data -= (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
		if (data < 0)
			data = 0;
	}
	return data;
}

static __inline__ void ipcfs_change_to_record(const struct kevent *change, struct ipcfs_record *record)
{
	record->ident = change->ident;
	record->filter = ipcfs_filter_to_number(IPCFS_NUMBER(change->filter));
	record->flags = (uint16_t)change->flags;
	record->fflags = change->fflags;
	record->data = change->data;
	record->udata = (uintptr_t)change->udata;
	if (record->filter == IPCFS_FILTER_TIMER && (change->flags & EV_ADD) != 0) {
		record->data = ipcfs_milliseconds(change->data, change->fflags);
		/* A moment comes once. */
		if ((change->fflags & NOTE_ABSTIME) != 0)
			record->flags |= EV_ONESHOT;
		record->fflags &= ~IPCFS_UNITS;
	}
}

static __inline__ void ipcfs_record_to_event(const struct ipcfs_record *record, struct kevent *event)
{
	memset(event, 0, sizeof *event);
	event->ident = (uintptr_t)record->ident;
	event->filter = IPCFS_FILTER(ipcfs_number_to_filter(record->filter));
	event->flags = record->flags;
	if ((record->flags & EV_ERROR) == 0)
		event->flags &= ~(IPCFS_ACTIONS | 0x1000);
	event->fflags = record->fflags;
	event->data = record->data;
	event->udata = (void *)(uintptr_t)record->udata;
}

#else

static __inline__ void ipcfs_change_to_record(const struct kevent *change, struct ipcfs_record *record)
{
	memcpy(record, change, sizeof *record);
}

static __inline__ void ipcfs_record_to_event(const struct ipcfs_record *record, struct kevent *event)
{
	memcpy(event, record, sizeof *event);
}

#endif

#endif
