//! What a measurement is: one thing measured several times, by itself or beside its alternatives.

use std::time::Duration;

use serde::Serialize;

pub(crate) type Failure = Box<dyn std::error::Error>;

/// Which of two samples is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Better {
    Less,
    More,
}

/// One thing measured several times.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// Short and unique, for machines.
    pub(crate) name: String,
    /// What was measured, over how much.
    pub(crate) what: String,
    /// Unit of all numbers; `x` for a ratio.
    pub(crate) unit: &'static str,
    /// In the order of measurement.
    pub(crate) samples: Vec<f64>,
    pub(crate) better: Better,
    /// The best sample is to be better than this; `None` where a figure is only told.
    pub(crate) aim: Option<f64>,
}

impl Figure {
    /// A figure of which less is better.
    pub(crate) fn less(
        name: impl Into<String>,
        what: impl Into<String>,
        unit: &'static str,
        samples: Vec<f64>,
        aim: Option<f64>,
    ) -> Self {
        Self { name: name.into(), what: what.into(), unit, samples, better: Better::Less, aim }
    }

    /// A figure of which more is better.
    pub(crate) fn more(
        name: impl Into<String>,
        what: impl Into<String>,
        unit: &'static str,
        samples: Vec<f64>,
        aim: Option<f64>,
    ) -> Self {
        Self { better: Better::More, ..Self::less(name, what, unit, samples, aim) }
    }

    /// A figure in seconds.
    pub(crate) fn seconds(
        name: impl Into<String>,
        what: impl Into<String>,
        samples: &[Duration],
        aim: Option<f64>,
    ) -> Self {
        Self::less(name, what, "s", samples.iter().map(Duration::as_secs_f64).collect(), aim)
    }

    fn bounds(&self) -> (f64, f64) {
        let least = self.samples.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = self.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (least, greatest)
    }

    pub(crate) fn best(&self) -> f64 {
        let (least, greatest) = self.bounds();
        if self.better == Better::Less { least } else { greatest }
    }

    pub(crate) fn worst(&self) -> f64 {
        let (least, greatest) = self.bounds();
        if self.better == Better::Less { greatest } else { least }
    }

    pub(crate) fn reached(&self) -> Option<bool> {
        self.aim.map(|aim| match self.better {
            Better::Less => self.best() < aim,
            Better::More => self.best() >= aim,
        })
    }
}

/// Several ways of doing the same, side by side.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// What is compared, over how much.
    pub(crate) title: String,
    /// The ways.
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One quantity of a comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    /// The samples of each way, in the order of the columns; none where it was not measured.
    pub(crate) samples: Vec<Vec<f64>>,
}

impl Comparison {
    pub(crate) fn row(&mut self, what: impl Into<String>, unit: &'static str, samples: Vec<Vec<f64>>) {
        self.rows.push(Row { what: what.into(), unit, samples });
    }
}

/// What one part of the bench has to tell.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) figures: Vec<Figure>,
    /// What the numbers mean, and what was left out, in sentences.
    pub(crate) notes: Vec<String>,
}

impl Measured {
    /// Adds another part.
    pub(crate) fn add(&mut self, other: Self) {
        self.comparisons.extend(other.comparisons);
        self.figures.extend(other.figures);
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }
}

impl From<Vec<Figure>> for Measured {
    fn from(figures: Vec<Figure>) -> Self {
        Self { figures, ..Self::default() }
    }
}
