//! A connection to a server, for a program without a runtime of its own.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Error, NoTls, Row};

use crate::postgres::guard::Guarded;
use crate::postgres::server::NoConnection;

/// How long the end of a connection may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Parameters of a statement.
pub type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection; it ends when this is dropped.
pub struct Client {
    // The order matters: the connection ends once the client is dropped.
    client: tokio_postgres::Client,
    driver: Driver,
}

/// What a connection says to a server's whole answer, of which nothing is known: an error
/// in words, always, since nobody who does not know the password can answer right.
#[must_use]
pub fn refusal(answer: &[u8]) -> String {
    let mut config = Config::new();
    config.user("aistack").password("sesame").dbname("postgres");
    let runtime = match Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => return NoConnection::Socket(error).describe(),
    };
    let stream = Guarded::new(Recorded(answer));
    match runtime.block_on(config.connect_raw(stream, NoTls)) {
        Ok(_) => String::new(),
        Err(error) => NoConnection::Said(error).describe(),
    }
}

/// A server that has said all it ever says, and takes whatever it is sent.
struct Recorded<'a>(&'a [u8]);

impl AsyncRead for Recorded<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = buffer.remaining().min(self.0.len());
        let (now, later) = self.0.split_at(count);
        buffer.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Recorded<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What reads and writes the socket.
struct Driver {
    runtime: Runtime,
    connection: Option<JoinHandle<()>>,
}

impl Client {
    /// Connects within `limit`, the authentication included. The password is only used
    /// for SCRAM, see [`Guarded`].
    pub fn connect(
        address: SocketAddr,
        config: &Config,
        limit: Duration,
    ) -> Result<Self, NoConnection> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(NoConnection::Socket)?;
        let connecting = async {
            let socket = TcpStream::connect(address)
                .await
                .map_err(NoConnection::Socket)?;
            socket.set_nodelay(true).map_err(NoConnection::Socket)?;
            config
                .connect_raw(Guarded::new(socket), NoTls)
                .await
                .map_err(NoConnection::Said)
        };
        let (client, connection) = runtime
            .block_on(async { tokio::time::timeout(limit, connecting).await })
            .map_err(|_| NoConnection::TimedOut(limit))??;
        let connection = runtime.spawn(async move {
            // Its error is that of the statement that waits for an answer.
            drop(connection.await);
        });
        Ok(Self {
            client,
            driver: Driver {
                runtime,
                connection: Some(connection),
            },
        })
    }

    /// The rows of a query.
    pub fn query(&mut self, query: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Error> {
        self.driver
            .runtime
            .block_on(self.client.query(query, parameters))
    }

    /// The one row of a query.
    pub fn query_one(&mut self, query: &str, parameters: Parameters<'_>) -> Result<Row, Error> {
        self.driver
            .runtime
            .block_on(self.client.query_one(query, parameters))
    }

    /// The row of a query, or none.
    pub fn query_opt(
        &mut self,
        query: &str,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, Error> {
        self.driver
            .runtime
            .block_on(self.client.query_opt(query, parameters))
    }

    /// Runs a statement with parameters.
    pub fn execute(&mut self, statement: &str, parameters: Parameters<'_>) -> Result<u64, Error> {
        self.driver
            .runtime
            .block_on(self.client.execute(statement, parameters))
    }

    /// Runs statements without parameters.
    pub fn batch_execute(&mut self, statements: &str) -> Result<(), Error> {
        self.driver
            .runtime
            .block_on(self.client.batch_execute(statements))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It tells the server that the connection ends.
        if let Some(connection) = self.connection.take() {
            let ended = async { tokio::time::timeout(GOODBYE, connection).await };
            drop(self.runtime.block_on(ended));
        }
    }
}
