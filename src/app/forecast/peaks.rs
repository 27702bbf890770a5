//! The peaks of a forecast: the parts that stand out, and the schedule that does most for each.
//! Pure; `reckon` calls it.

use crate::model::{JobId, Millis, ProjectId};
use crate::store::jobs::JobClass;

/// The most peaks of a forecast.
const MOST: usize = 6;
/// A peak has so many times the occurrences of an average part, at least.
const TIMES: u64 = 3;

/// A part of a forecast that stands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peak {
    /// The begin of the part.
    pub at: Millis,
    /// Its occurrences.
    pub count: u64,
    /// Those of the schedule that has most of them.
    pub of_largest: u64,
    /// That schedule; empty for one-offs.
    pub spec: String,
    /// The zone that it is read in.
    pub timezone: String,
    /// The project of its jobs.
    pub project: ProjectId,
    /// The first of its jobs.
    pub first: JobId,
}

/// The class that has most occurrences in each part, with their number.
pub(super) struct LargestClasses<'c>(Vec<Option<(u64, &'c JobClass)>>);

impl<'c> LargestClasses<'c> {
    pub(super) fn new(parts: usize) -> Self {
        Self(vec![None; parts])
    }

    /// Adds the occurrences of a class.
    pub(super) fn add(&mut self, class: &'c JobClass, counts: &[u64]) {
        for (known, count) in self.0.iter_mut().zip(counts) {
            if *count > known.map_or(0, |(most, _)| most) {
                *known = Some((*count, class));
            }
        }
    }

    /// The parts that stand out of the sums of all classes, the highest first.
    pub(super) fn peaks(&self, counts: &[u64], begin: impl Fn(usize) -> Millis) -> Vec<Peak> {
        let average = counts.iter().sum::<u64>() / (counts.len() as u64).max(1);
        let most = TIMES.saturating_mul(average.max(1));
        let parts = self.0.iter().zip(counts).enumerate();
        let known = parts.filter_map(|(place, (largest, count))| {
            let (of_largest, class) = (*largest).filter(|_| *count >= most)?;
            Some((place, *count, of_largest, class))
        });
        let peak = |(place, count, of_largest, class): (usize, u64, u64, &JobClass)| {
            Some(Peak {
                at: begin(place),
                count,
                of_largest,
                spec: class.definition.spec.clone(),
                timezone: class.definition.timezone.clone(),
                project: class.definition.project,
                first: class.samples.first()?.id,
            })
        };
        let mut found: Vec<_> = known.filter_map(peak).collect();
        found.sort_by(|a, b| b.count.cmp(&a.count).then(a.at.cmp(&b.at)));
        found.truncate(MOST);
        found
    }
}
