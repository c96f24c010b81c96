//! The program `pillarbox`: carries POP3 and IMAP sessions over sockets, keeps
//! accounts, TLS, timers and limits, and has the command line.

pub mod accounts;
pub mod cli;
pub mod compression;
pub mod config;
pub mod connection;
pub mod files;
pub mod limits;
pub mod mail_root;
pub mod oauth;
pub mod outlet;
pub mod proxy;
pub mod relief;
pub mod search_texts;
pub mod self_signed;
pub mod serve;
pub mod standstill;
pub mod steps;
pub mod stream;
pub mod tls;
pub mod watch;
