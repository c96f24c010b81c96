//! What was measured.

use std::collections::BTreeMap;
use std::time::Duration;

/// In what a row is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Wall time; less is better.
    Milliseconds,
    /// Processor time of the server; less is better.
    ProcessorMilliseconds,
    /// How many a second; more is better.
    PerSecond,
    /// Octets a second in millions; more is better.
    Megabytes,
    /// Memory in units of 1024 octets; less is better.
    Kibibytes,
    /// A ratio; less is better.
    Times,
}

impl Unit {
    /// As it is written behind a number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::ProcessorMilliseconds => "ms cpu",
            Self::PerSecond => "/s",
            Self::Megabytes => "MB/s",
            Self::Kibibytes => "KiB",
            Self::Times => "x",
        }
    }

    /// Whether more is better.
    pub fn is_rate(self) -> bool {
        matches!(self, Self::PerSecond | Self::Megabytes)
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub value: f64,
    /// Processor time of the server's processes meanwhile.
    pub processor: Duration,
    /// Memory of the server's processes afterwards, in octets (PSS).
    pub memory: u64,
}

/// All samples: by row, then by server.
pub type Samples = BTreeMap<&'static str, BTreeMap<&'static str, Vec<Sample>>>;

/// The middle one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The one that so many of a hundred do not exceed.
pub fn percentile(mut values: Vec<f64>, hundredth: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() * hundredth).div_ceil(100).saturating_sub(1);
    values.get(place).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!((percentile((1..=100).map(f64::from).collect(), 99) - 99.0).abs() < 1e-9);
    }
}
