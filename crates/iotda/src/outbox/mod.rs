//! Durable store and forward: what is put survives outages, restarts and power cuts, and is delivered when the
//! platform takes it.

mod book;
mod clock;
mod crc32c;
mod engine;
mod frame;
mod lanes;
mod log;
mod repair;
mod segment;
mod settle;
mod space;
mod storage;

#[cfg(test)]
mod tests;
