//! The command as a shell runs it, against the stand-in platform: what it prints, how it ends, and what arrives.

mod auth;
mod doctor;
mod outbox;
mod report;
mod run;
mod stream;
mod terminal;
mod tools;
