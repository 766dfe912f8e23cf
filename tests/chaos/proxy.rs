//! A TCP proxy between clients and the broker, whose connections can be cut, half-closed and held up.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub struct Proxy {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    /// Known only when the broker runs, which is told of the proxy when it starts.
    behind: Mutex<Option<SocketAddr>>,
    connections: Mutex<Vec<Connection>>,
    held_up_until_ms: AtomicU64,
    began: Instant,
    closed: AtomicBool,
}

struct Connection {
    client: TcpStream,
    broker: TcpStream,
}

impl Proxy {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let inner = Arc::new(Inner {
            behind: Mutex::new(None),
            connections: Mutex::default(),
            held_up_until_ms: AtomicU64::new(0),
            began: Instant::now(),
            closed: AtomicBool::new(false),
        });
        let serving = Arc::clone(&inner);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if serving.closed.load(Ordering::Relaxed) {
                    return;
                }
                // A client that finds no broker behind it is sent away.
                let _ = serving.connect(client);
            }
        });
        Proxy { address, inner }
    }

    pub fn leads_to(&self, broker: SocketAddr) {
        *lock(&self.inner.behind) = Some(broker);
    }

    /// Cuts this many of a hundred connections, the oldest first.
    pub fn cut(&self, percent: usize) -> usize {
        let mut connections = lock(&self.inner.connections);
        let count = (connections.len() * percent).div_ceil(100);
        for connection in connections.drain(..count) {
            let _ = connection.client.shutdown(Shutdown::Both);
            let _ = connection.broker.shutdown(Shutdown::Both);
        }
        count
    }

    /// Closes one direction of this connection: of those there are, counted round and round.
    pub fn half_close(&self, which: usize, to_broker: bool) {
        let connections = lock(&self.inner.connections);
        if let Some(connection) = connections.get(which % connections.len().max(1)) {
            let stream = if to_broker { &connection.broker } else { &connection.client };
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    /// Nothing passes for this long; what waits arrives afterwards.
    pub fn hold_up(&self, time: Duration) {
        let until = self.inner.began.elapsed() + time;
        self.inner.held_up_until_ms.store(u64::try_from(until.as_millis()).expect("soon"), Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inner.closed.store(true, Ordering::Relaxed);
        self.cut(100);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Inner {
    fn connect(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let Some(behind) = *lock(&self.behind) else { return Ok(()) };
        let broker = TcpStream::connect(behind)?;
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        for (from, to) in [(client.try_clone()?, broker.try_clone()?), (broker.try_clone()?, client.try_clone()?)] {
            let inner = Arc::clone(self);
            thread::spawn(move || inner.pump(from, to));
        }
        let mut connections = lock(&self.connections);
        connections.retain(|connection| connection.client.peer_addr().is_ok());
        connections.push(Connection { client, broker });
        Ok(())
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            self.wait_while_held_up();
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        // What a peer closed is closed for the other, too.
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    }

    fn wait_while_held_up(&self) {
        let until = Duration::from_millis(self.held_up_until_ms.load(Ordering::Relaxed));
        thread::sleep(until.saturating_sub(self.began.elapsed()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
