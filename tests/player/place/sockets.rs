//! The built server, over TCP and over TLS.

use super::{Conversation, Place};
use crate::common::Server;
use crate::common::tls::{self, Tls};
use crate::player::{Peer, Protocol, Transcript};
use std::net::TcpStream;
use std::time::Duration;

/// What is between client and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Tcp,
    Tls,
}

/// A server with a transcript's mailbox and configuration.
pub struct Sockets {
    server: Server,
    over: Over,
}

impl Sockets {
    pub fn new(transcript: &Transcript, over: Over) -> Self {
        let config: Vec<&str> = transcript.config.iter().map(String::as_str).collect();
        Self {
            server: Server::start_for(
                transcript.messages,
                transcript.aged,
                &config,
                &transcript.devices,
            ),
            over,
        }
    }
}

impl Place for Sockets {
    fn peer(&self) -> Peer {
        Peer::Pillarbox
    }

    fn open(&self, protocol: Protocol) -> Box<dyn Conversation> {
        let server = &self.server;
        let port = match (self.over, protocol) {
            (Over::Tcp, Protocol::Imap) => server.imap,
            (Over::Tcp, Protocol::Pop3) => server.pop3,
            (Over::Tls, Protocol::Imap) => server.imaps,
            (Over::Tls, Protocol::Pop3) => server.pop3s,
        };
        let stream = connect(port);
        match self.over {
            Over::Tcp => Box::new(stream),
            Over::Tls => Box::new(tls::begin(stream, &server.directory().join("cert.pem"))),
        }
    }
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    stream.set_nodelay(true).expect("nodelay");
    stream
}

impl Conversation for TcpStream {
    fn wait_for(&mut self, patience: Duration) {
        self.set_read_timeout(Some(patience)).expect("timeout");
    }
}

impl Conversation for Tls {
    fn wait_for(&mut self, patience: Duration) {
        self.sock.wait_for(patience);
    }
}
