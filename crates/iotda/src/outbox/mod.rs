//! Durable store and forward: what is put survives outages, restarts and power cuts, and is delivered when the
//! platform takes it.

mod book;
mod clock;
mod coalesce;
mod crc32c;
mod dead;
mod directory;
mod engine;
mod frame;
mod lanes;
mod log;
mod repair;
mod segment;
mod settle;
mod space;
mod stats;
mod storage;
mod turns;
mod worker;

#[cfg(test)]
mod tests;
