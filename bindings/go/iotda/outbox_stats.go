// What an outbox holds, and what it has done.

package iotda

// #include "iotda.h"
import "C"

import "time"

// OutboxStats is what an outbox holds, and what it has done since it was opened.
type OutboxStats struct {
	// Waiting are entries that wait to be delivered, and WaitingBytes what they take in the files.
	Waiting, WaitingBytes uint64
	// Unattached are those among the waiting whose device is not attached.
	Unattached uint64
	// Oldest is when the oldest that waits was put, to the second, as this machine's clock had it; the zero Time: none waits.
	Oldest time.Time
	// FileBytes are bytes of the files, dead letters not counted.
	FileBytes uint64
	// Delivered are entries that were delivered, and Requests the requests that were sent.
	Delivered, Requests uint64
	// Retries are attempts that were made after a failure: no connection (nothing was sent then), no answer, a fault of the
	// platform, a rate limit, a refused token. The search for an entry that is refused is none.
	Retries uint64
	// Dead are entries that became dead letters, DeadKept the dead letters that are kept now, and DeadDropped those that
	// could not be kept, or were removed, unread, for newer ones.
	Dead, DeadKept, DeadDropped uint64
	// Dropped are entries that were dropped as the oldest, Expired those that became too old, Damaged the entries and
	// records that were found damaged, and Discarded those that Discard gave up.
	Dropped, Expired, Damaged, Discarded uint64
	// Syncs are syncs of files and of the directory, and BytesWritten bytes written to files.
	Syncs, BytesWritten uint64
	// Failing says that the files cannot be written, so that puts fail, and FailingSince since when, to the second, as this
	// machine's clock had it; the zero Time: they can.
	Failing      bool
	FailingSince time.Time
	// LastError is why the last request was not delivered; "" if none failed.
	LastError string
}

// Stats reads what the outbox holds and has done. It does not wait for the network. Of an outbox that is closed it is all
// zero.
func (o *Outbox) Stats() OutboxStats {
	if !o.acquire() {
		return OutboxStats{}
	}
	defer o.handle.release()
	stats := C.iotda_outbox_stats_t{struct_size: C.sizeof_iotda_outbox_stats_t}
	if C.iotda_outbox_stats(o.handle.outbox, &stats) != C.IOTDA_OK {
		return OutboxStats{}
	}
	return OutboxStats{
		Waiting:      uint64(stats.waiting),
		WaitingBytes: uint64(stats.waiting_bytes),
		Unattached:   uint64(stats.unattached),
		Oldest:       unixOrZero(stats.oldest_s),
		FileBytes:    uint64(stats.file_bytes),
		Delivered:    uint64(stats.delivered),
		Requests:     uint64(stats.requests),
		Retries:      uint64(stats.retries),
		Dead:         uint64(stats.dead),
		DeadKept:     uint64(stats.dead_kept),
		DeadDropped:  uint64(stats.dead_dropped),
		Dropped:      uint64(stats.dropped),
		Expired:      uint64(stats.expired),
		Damaged:      uint64(stats.damaged),
		Discarded:    uint64(stats.discarded),
		Syncs:        uint64(stats.syncs),
		BytesWritten: uint64(stats.bytes_written),
		Failing:      bool(stats.is_failing),
		FailingSince: unixOrZero(stats.failing_since_s),
		LastError:    fixedText(stats.last_error[:]),
	}
}

// unixOrZero is a time in seconds since 1970; the zero Time for 0.
func unixOrZero(s C.uint64_t) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}
