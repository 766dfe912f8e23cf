//! Where clients connect. Most requests are handed through to the library's broker; those of consumer groups are
//! answered here, and EndTxn is translated. The gate can be shut for a while, which to clients is a broker that
//! restarts and has kept its data.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use krafka::testing::{ApiKey, FakeBroker};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::end_transaction::{self, END_TXN};
use crate::faults::Fault;
use crate::group_requests::Coordinator;
use crate::login::{Login, Users};
use crate::transactions::OpenTransactions;
use crate::wire::{Reader, read_frame, write_frame};

/// How often it is looked at what time has ended.
const TICK: Duration = Duration::from_millis(50);
/// How long a port may be taken by a listener that is being closed.
const BIND_TRIES: u32 = 100;

struct Inner {
    broker: Arc<FakeBroker>,
    address: SocketAddr,
    coordinator: Coordinator,
    open: OpenTransactions,
    door: Door,
}

/// What a client has to pass.
#[derive(Default)]
pub struct Door {
    pub tls: Option<TlsAcceptor>,
    pub users: Users,
}

pub struct Gate {
    inner: Arc<Inner>,
    listener: Option<TcpListener>,
    address: SocketAddr,
    connections: JoinSet<()>,
    faults: UnboundedReceiver<Fault>,
    opens_at: Option<Instant>,
}

impl Gate {
    /// Listens at `address` and tells clients to connect to `advertised`, the same by default; what is sent to the
    /// sender happens.
    pub async fn open(
        address: SocketAddr,
        advertised: Option<SocketAddr>,
        door: Door,
    ) -> io::Result<(Self, UnboundedSender<Fault>)> {
        let broker = Arc::new(FakeBroker::start().await.map_err(io::Error::other)?);
        let behind = broker.broker_addr(0).ok_or_else(|| io::Error::other("it listens nowhere"))?;
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        advertise(&broker, advertised.unwrap_or(address));
        if door.users.are_asked() {
            broker.set_api_versions(ApiKey::SaslHandshake, 0, 1);
            broker.set_api_versions(ApiKey::SaslAuthenticate, 0, 1);
        }
        let coordinator = Coordinator::new(Arc::clone(&broker));
        let inner = Arc::new(Inner { broker, address: behind, coordinator, open: OpenTransactions::default(), door });
        let (sender, faults) = unbounded_channel();
        let gate =
            Gate { inner, listener: Some(listener), address, connections: JoinSet::new(), faults, opens_at: None };
        Ok((gate, sender))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn broker(&self) -> Arc<FakeBroker> {
        Arc::clone(&self.inner.broker)
    }

    /// Serves until nobody can order faults any more.
    pub async fn serve(mut self) -> io::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                stream = accept(self.listener.as_ref()) => self.connect(stream?),
                fault = self.faults.recv() => match fault {
                    Some(fault) => self.suffer(fault),
                    None => return Ok(()),
                },
                Some(_) = self.connections.join_next() => {}
                _ = tick.tick() => self.pass_time().await?,
            }
        }
    }

    fn connect(&mut self, stream: TcpStream) {
        let inner = Arc::clone(&self.inner);
        // A connection that ends with an error is one that ends.
        self.connections.spawn(async move { drop(inner.admit(stream).await) });
    }

    fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::Outage(time) => {
                self.listener = None;
                self.connections.abort_all();
                self.opens_at = Some(Instant::now() + time);
            }
            Fault::Cut => self.connections.abort_all(),
            Fault::Requests(fault) => fault.order(&self.inner.broker),
            Fault::Unfinished(topic, times) => self.inner.open.leave_unfinished(Some((topic, times))),
            Fault::Clear => {
                self.inner.broker.clear_hooks();
                self.inner.open.leave_unfinished(None);
            }
        }
    }

    async fn pass_time(&mut self) -> io::Result<()> {
        let now = Instant::now();
        // The library remembers every request, and looks through them at each.
        self.inner.broker.clear_requests();
        self.inner.broker.with_state(|state| state.list_offsets_lookups.clear());
        self.inner.open.abort_overdue(&self.inner.broker, now);
        if self.opens_at.is_some_and(|at| now >= at) {
            self.opens_at = None;
            self.listener = Some(bind_again(self.address).await?);
            self.inner.coordinator.forgive();
        }
        if self.listener.is_some() {
            self.inner.coordinator.pass_time();
        }
        Ok(())
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

async fn bind_again(address: SocketAddr) -> io::Result<TcpListener> {
    for _ in 0..BIND_TRIES {
        if let Ok(listener) = TcpListener::bind(address).await {
            return Ok(listener);
        }
        tokio::time::sleep(TICK).await;
    }
    TcpListener::bind(address).await
}

/// Names the address to clients, and the versions of which the gate makes others.
fn advertise(broker: &FakeBroker, address: SocketAddr) {
    broker.with_state(|state| {
        state.auto_create_topics = false;
        for node in &mut state.brokers {
            (node.host, node.port) = (address.ip().to_string(), i32::from(address.port()));
        }
    });
    broker.set_api_versions(ApiKey::EndTxn, 1, 1);
    broker.set_api_versions(ApiKey::LeaveGroup, 1, 1);
    // The same layout as the versions that are advertised by default.
    broker.set_api_versions(ApiKey::TxnOffsetCommit, 3, 5);
    broker.set_api_versions(ApiKey::DeleteTopics, 1, 3);
}

impl Inner {
    async fn admit(&self, client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        match &self.door.tls {
            Some(tls) => self.converse(tls.accept(client).await?).await,
            None => self.converse(client).await,
        }
    }

    async fn converse(&self, mut client: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let mut login = Login::new(&self.door.users);
        let mut broker = TcpStream::connect(self.address).await?;
        broker.set_nodelay(true)?;
        while let Some(request) = read_frame(&mut client).await? {
            let mut reader = Reader::new(&request);
            let header = reader.header()?;
            let response = if let Some(response) = login.answer(&header, &mut reader)? {
                response
            } else if Coordinator::answers(header.api) {
                self.coordinator.answer(&header, &mut reader).await?
            } else if header.api == END_TXN {
                let (request, id) = end_transaction::request(&header, &mut reader)?;
                if self.open.stays_unfinished(&self.broker, &id) {
                    return Ok(());
                }
                let Some(response) = hand_through(&mut broker, &request).await? else { return Ok(()) };
                self.open.ended(&id);
                end_transaction::response(&response)
            } else {
                let Some(response) = hand_through(&mut broker, &request).await? else { return Ok(()) };
                response.into()
            };
            write_frame(&mut client, &response).await?;
            if login.is_refused() {
                break;
            }
        }
        Ok(())
    }
}

async fn hand_through(broker: &mut TcpStream, request: &[u8]) -> io::Result<Option<bytes::Bytes>> {
    write_frame(broker, request).await?;
    read_frame(broker).await
}
