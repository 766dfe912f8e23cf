//! Fetched records many at a time: one call into librdkafka hands over all that wait, each where librdkafka holds it.
//!
//! rdkafka polls records one by one, each as an event that is locked for, allocated, wrapped and freed
//! (docs/performance.md has what that costs). librdkafka can call back for each record that is queued instead, but must
//! not do so on the queue of the consumer: what is not a record there (rebalances, statistics, logs) it would handle by
//! itself, and release all partitions for one. So partitions are forwarded to a queue of their own, which holds records
//! and errors of partitions and nothing else; all other events stay where rdkafka polls them.
//!
//! Why the callback, which librdkafka calls deprecated, and not `rd_kafka_consume_batch_queue`: that one moves the
//! application's position past an error too, so a pause or rebalance right after a failed fetch would skip a record, and
//! it locks the queue for every record.
//!
//! Why through a partition's queue, and not `rd_kafka_consume_callback_queue`: that one takes all that waits out of the
//! queue before it calls back, so that while records are worked on the queue seems empty, and fetching, which the length
//! of the queue bounds, goes on without bound. `rd_kafka_consume_callback` takes `AT_ONCE` at most. It asks for a
//! partition; the one that every topic has for what belongs to none is never fetched, so it stays forwarded to the queue.
//!
//! Its safe twin is `BaseConsumer::poll` (`Fetching::OneByOne`), against which
//! tests/kafka_mock.rs compares it.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_void};
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::thread;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedHeaders, Message, Timestamp};

use super::Error;

/// Records handed over at once at most: few enough that events, flushes and commits do not wait for long (1 ms), and
/// enough that what is done once for all of them costs nothing. For librdkafka's `consume.callback.max.messages`.
pub(super) const AT_ONCE: usize = 1_000;

/// librdkafka's `RD_KAFKA_PARTITION_UA`, a macro that has no binding.
const NO_PARTITION: i32 = -1;

/// Where the records of all partitions of a consumer arrive. To be dropped before the consumer is.
pub(super) struct RecordQueue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// A topic whose partition for what belongs to none is forwarded here; there is one once a partition is attached.
    door: Cell<Option<NonNull<sys::rd_kafka_topic_t>>>,
    client: *mut sys::rd_kafka_t,
}

/// What came between the records.
pub(super) enum Mark {
    /// Everything before this offset was handed over, and there was no more.
    End { topic: String, partition: i32, offset: i64 },
    /// What a partition could not be read for, with librdkafka's words for it.
    Failure(RDKafkaErrorCode, String),
}

impl RecordQueue {
    pub(super) fn new<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Result<Self, Error> {
        let client = consumer.client().native_ptr();
        // SAFETY: the client is open as long as `consumer` is. The new queue is ours; `drop` gives it back.
        let queue = unsafe { sys::rd_kafka_queue_new(client) };
        let queue = NonNull::new(queue).ok_or_else(|| Error::new("librdkafka makes no queue"))?;
        Ok(RecordQueue { queue, door: Cell::new(None), client })
    }

    /// From here on the records of the partition arrive here. To be called before each assignment of it: librdkafka
    /// forgets it when fetching stops, and heeds it when fetching starts.
    pub(super) fn attach(&self, topic: &str, partition: i32) -> Result<(), Error> {
        let failed = || Error::new(format!("librdkafka has no queue for {topic}[{partition}]"));
        let name = CString::new(topic).map_err(|_| failed())?;
        self.forward(&name, partition).ok_or_else(failed)?;
        if self.door.get().is_none() {
            // SAFETY: the client is open, for the consumer outlives us; the name ends with a zero and outlives the call.
            // Null: settings like those of all topics. The handle is ours; `drop` gives it back.
            let door = unsafe { sys::rd_kafka_topic_new(self.client, name.as_ptr(), ptr::null_mut()) };
            let door = NonNull::new(door).ok_or_else(failed)?;
            self.door.set(Some(door));
            self.forward(&name, NO_PARTITION).ok_or_else(failed)?;
        }
        Ok(())
    }

    /// Has what arrives in the queue of a partition arrive here.
    fn forward(&self, topic: &CStr, partition: i32) -> Option<()> {
        // SAFETY: the client is open, for the consumer outlives us; the name ends with a zero and outlives the call.
        let source = unsafe { sys::rd_kafka_queue_get_partition(self.client, topic.as_ptr(), partition) };
        let source = NonNull::new(source)?;
        // SAFETY: both queues are valid. librdkafka counts its own references, so ours to `source` ends here.
        unsafe {
            sys::rd_kafka_queue_forward(source.as_ptr(), self.queue.as_ptr());
            sys::rd_kafka_queue_destroy(source.as_ptr());
        }
        Some(())
    }

    /// Hands over what is there, in the order of offsets within each partition, after waiting up to `timeout` for the
    /// first record. `Break` leaves the rest for the next call. Returns what came between the records.
    pub(super) fn read<F>(&self, timeout: Duration, each: F) -> Vec<Mark>
    where
        F: FnMut(&Fetched<'_>) -> ControlFlow<()>,
    {
        let Some(door) = self.door.get() else {
            // Nothing is attached, so nothing comes.
            thread::park_timeout(timeout);
            return Vec::new();
        };
        let mut call = Call { each, client: self.client, marks: Vec::new(), panic: None };
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the topic is ours. librdkafka calls `on_record::<F>` on this thread, only before it returns, and only
        // with the pointer given here, which is to a `Call<F>` that nobody else touches meanwhile.
        unsafe {
            sys::rd_kafka_consume_callback(
                door.as_ptr(),
                NO_PARTITION,
                timeout_ms,
                Some(on_record::<F>),
                (&raw mut call).cast(),
            );
        }
        if let Some(panic) = call.panic {
            resume_unwind(panic);
        }
        call.marks
    }

    /// Records that wait here.
    pub(super) fn len(&self) -> usize {
        // SAFETY: the queue is ours, and librdkafka locks it.
        unsafe { sys::rd_kafka_queue_length(self.queue.as_ptr()) }
    }
}

impl Drop for RecordQueue {
    fn drop(&mut self) {
        if let Some(door) = self.door.get() {
            // SAFETY: nobody else has the handle.
            unsafe { sys::rd_kafka_topic_destroy(door.as_ptr()) };
        }
        // SAFETY: nobody else has the queue. What it holds is freed with it; partitions that are still forwarded to it
        // find it closed, and drop what they fetch.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

struct Call<F> {
    each: F,
    client: *mut sys::rd_kafka_t,
    marks: Vec<Mark>,
    panic: Option<Box<dyn Any + Send>>,
}

/// # Safety
/// `raw` is a record of librdkafka that stays as it is until this returns, `call` a `Call<F>` that nobody else touches.
unsafe extern "C" fn on_record<F>(raw: *mut sys::rd_kafka_message_t, call: *mut c_void)
where
    F: FnMut(&Fetched<'_>) -> ControlFlow<()>,
{
    // SAFETY: as the caller promises.
    let (raw, call) = unsafe { (&*raw, &mut *call.cast::<Call<F>>()) };
    if raw.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        call.marks.push(mark(raw));
        return;
    }
    let each = &mut call.each;
    // Unwinding must not enter C. What the panic leaves behind is not used again: `read` goes on with it.
    let stop = match catch_unwind(AssertUnwindSafe(|| each(&Fetched { raw }))) {
        Ok(flow) => flow.is_break(),
        Err(panic) => {
            call.panic = Some(panic);
            true
        }
    };
    if stop {
        // SAFETY: the client is open. It puts what is left back to the front of the queue, and returns.
        unsafe { sys::rd_kafka_yield(call.client) };
    }
}

/// What is no record.
fn mark(raw: &sys::rd_kafka_message_t) -> Mark {
    let is_end = raw.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF;
    if is_end && !raw.rkt.is_null() {
        let end = Fetched { raw };
        return Mark::End { topic: end.topic().to_owned(), partition: end.partition(), offset: end.offset() };
    }
    // The payload of an error is its text.
    let text = String::from_utf8_lossy(bytes(raw, raw.payload, raw.len).unwrap_or_default());
    Mark::Failure(raw.err.into(), text.into_owned())
}

/// A record, where librdkafka holds it.
pub struct Fetched<'a> {
    raw: &'a sys::rd_kafka_message_t,
}

impl Message for Fetched<'_> {
    type Headers = BorrowedHeaders;

    fn key(&self) -> Option<&[u8]> {
        bytes(self.raw, self.raw.key, self.raw.key_len)
    }

    fn payload(&self) -> Option<&[u8]> {
        bytes(self.raw, self.raw.payload, self.raw.len)
    }

    /// Nobody writes to what was fetched.
    unsafe fn payload_mut(&mut self) -> Option<&mut [u8]> {
        None
    }

    fn topic(&self) -> &str {
        // SAFETY: a record has its topic, which keeps its name, a string that ends with a zero, as long as it lives.
        let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(self.raw.rkt)) };
        // Kafka allows ASCII only.
        name.to_str().unwrap_or_default()
    }

    fn partition(&self) -> i32 {
        self.raw.partition
    }

    fn offset(&self) -> i64 {
        self.raw.offset
    }

    fn timestamp(&self) -> Timestamp {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: reads the record, and writes to `kind`.
        let at = unsafe { sys::rd_kafka_message_timestamp(self.raw, &raw mut kind) };
        match kind {
            _ if at == -1 => Timestamp::NotAvailable,
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => Timestamp::NotAvailable,
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => Timestamp::CreateTime(at),
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => Timestamp::LogAppendTime(at),
        }
    }

    fn headers(&self) -> Option<&BorrowedHeaders> {
        let mut headers = ptr::null_mut();
        // SAFETY: librdkafka parses the headers and keeps them with the record. Only this thread has the record, for
        // what holds raw pointers is not Sync.
        let code = unsafe { sys::rd_kafka_message_headers(self.raw, &raw mut headers) };
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        // SAFETY: rdkafka's type stands for librdkafka's opaque one: it has no size and no fields, only its address
        // counts, and rdkafka casts in the same way. The headers live as long as the record.
        NonNull::new(headers).map(|headers| unsafe { headers.cast::<BorrowedHeaders>().as_ref() })
    }
}

/// Where the log began and ended when librdkafka fetched of it last.
pub(super) fn log_range<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<Range<i64>> {
    let name = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    let client = consumer.client().native_ptr();
    // SAFETY: the client is open as long as `consumer` is; the name ends with a zero; the rest is written to.
    let code =
        unsafe { sys::rd_kafka_get_watermark_offsets(client, name.as_ptr(), partition, &raw mut low, &raw mut high) };
    (code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && low >= 0).then_some(low..high)
}

/// Names and values as they are. rdkafka's own way panics on a name that is not UTF-8, and anyone may write such.
pub fn raw_headers(headers: &BorrowedHeaders) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    // As in `Fetched::headers`, the other way round.
    let native = ptr::from_ref(headers).cast::<sys::rd_kafka_headers_t>();
    (0..).map_while(move |index| {
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers are valid as long as `headers` lives; the rest is written to.
        let code =
            unsafe { sys::rd_kafka_header_get_all(native, index, &raw mut name, &raw mut value, &raw mut length) };
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        // SAFETY: the name of a header that is there ends with a zero, and lives as long as the headers.
        let name = unsafe { CStr::from_ptr(name) };
        Some((name.to_bytes(), bytes(headers, value, length)))
    })
}

/// A part of `_of`, for as long as that lives.
fn bytes<T: ?Sized>(_of: &T, start: *const c_void, length: usize) -> Option<&[u8]> {
    let start = NonNull::new(start.cast_mut())?.cast::<u8>();
    // SAFETY: librdkafka's pointer and length of a part of a record or of headers belong together, and nobody writes there.
    Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), length) })
}
