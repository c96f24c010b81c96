//! Where transcripts are played: sessions in memory, a server's sockets, another
//! server.

pub mod dovecot;
pub mod memory;
pub mod sockets;

use super::{Peer, Protocol};
use std::io::{Read, Write};
use std::time::Duration;

/// Somebody to talk to: a mailbox of the user `anna`, password `secret`.
pub trait Place {
    /// Who answers.
    fn peer(&self) -> Peer;
    /// Whether COMPRESS compresses what is sent and said.
    fn compresses(&self) -> bool {
        true
    }
    /// Begins a conversation.
    fn open(&self, protocol: Protocol) -> Box<dyn Conversation>;
}

/// A client's side of one connection.
pub trait Conversation: Read + Write {
    /// How long reading waits before it fails.
    fn wait_for(&mut self, patience: Duration);
}
