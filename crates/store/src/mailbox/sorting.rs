//! What messages are sorted and threaded by: made once of each, and kept beside its
//! summary.

use super::Mailbox;
use crate::Uid;
use crate::summaries::Summaries;
use parking_lot::MutexGuard;

impl Mailbox {
    /// Gives `take` what was kept of these messages by [`Mailbox::keep_sorting`], with
    /// their places among `uids`, and tells the places of those of which nothing is kept
    /// that it takes. Nobody else reads summaries meanwhile: `take` is to be quick.
    pub fn look_at_sorting(
        &self,
        uids: &[Uid],
        mut take: impl FnMut(usize, &[u8]) -> Option<()>,
    ) -> Vec<usize> {
        let mut summaries = self.with_sorting();
        let places = uids.iter().enumerate();
        places
            .filter(|(place, uid)| {
                let taken = summaries.sorting(**uid, |octets| take(*place, octets));
                taken.is_none()
            })
            .map(|(place, _)| place)
            .collect()
    }
    /// Keeps what a protocol makes of a message to sort it, which is the same for all
    /// time. It is a cache: what cannot be kept is made again when it is asked for.
    pub fn keep_sorting(&self, uid: Uid, octets: &[u8]) {
        self.with_sorting().put_sorting(uid, octets);
    }
    /// The summaries, with that file opened.
    fn with_sorting(&self) -> MutexGuard<'_, Summaries> {
        let summaries = self.summaries();
        if !summaries.sorting_is_unopened() {
            return summaries;
        }
        drop(summaries);
        let (owner, directory, snapshot) = self.cache_owner();
        let mut summaries = self.summaries();
        if let Some(owner) = owner
            && summaries.sorting_is_unopened()
        {
            summaries.open_sorting(&directory, owner, &snapshot);
        }
        summaries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_the_next_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let open = || Mailbox::open(path.clone(), || Ok(crate::UidValidity::MIN)).unwrap();
        let mailbox = open();
        for number in 0..5 {
            let name = format!("cur/{}.M1P1.x:2,", 1_000 + number);
            std::fs::write(path.join(name), "Subject: x\n\n").unwrap();
        }
        let snapshot = mailbox.sync().unwrap();
        let uids: Vec<Uid> = snapshot.rows().map(|row| row.uid).collect();
        let kept = |mailbox: &Mailbox| {
            let mut kept = Vec::new();
            let lacking = mailbox.look_at_sorting(&uids, |place, octets| {
                kept.push((place, octets.to_vec()));
                (octets != b"strange").then_some(())
            });
            (kept, lacking)
        };
        assert_eq!(kept(&mailbox), (Vec::new(), vec![0, 1, 2, 3, 4]));
        mailbox.keep_sorting(uids[1], b"one");
        mailbox.keep_sorting(uids[3], b"strange");
        let expected = vec![(1, b"one".to_vec()), (3, b"strange".to_vec())];
        assert_eq!(kept(&mailbox), (expected.clone(), vec![0, 2, 3, 4]));
        drop(mailbox);
        let mailbox = open();
        mailbox.sync().unwrap();
        let (again, lacking) = kept(&mailbox);
        assert_eq!((again, lacking), (expected, vec![0, 2, 3, 4]));
    }
}
