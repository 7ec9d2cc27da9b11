//! Host threads: slices of domains side by side, and jobs in the background.
//!
//! Nothing here decides what happens, only where: results are collected by name
//! and handed back in the order in which they were asked for, so a run is the same
//! on any number of threads. With one thread everything runs on the caller's.

use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use sun4v::native::Work;

/// A piece of background work and, later, its result.
#[derive(Default)]
pub struct Job {
    state: Mutex<JobState>,
    done: Condvar,
}

#[derive(Default)]
enum JobState {
    Waiting(Work),
    Running,
    Done(Vec<u8>),
    #[default]
    Taken,
}

impl Job {
    /// Runs it, unless somebody else has begun.
    fn run(&self) {
        let work = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut *state, JobState::Running) {
                JobState::Waiting(work) => work,
                other => {
                    *state = other;
                    return;
                }
            }
        };
        let output = work();
        *self.state.lock() = JobState::Done(output);
        self.done.notify_all();
    }

    /// Its result: computed here and now when no worker has begun it. Can be taken
    /// once; a second time it is empty.
    pub fn take(&self) -> Vec<u8> {
        self.run();
        let mut state = self.state.lock();
        loop {
            match std::mem::take(&mut *state) {
                JobState::Done(output) => return output,
                JobState::Taken => return Vec::new(),
                busy => {
                    *state = busy;
                    self.done.wait(&mut state);
                }
            }
        }
    }
}

/// Something that a worker advances and hands back: a domain for one slice.
pub trait Slice: Send + 'static {
    /// Runs it.
    fn run(&mut self);
}

/// Workers for slices of type `S` and for jobs.
pub struct Pool<S: Slice> {
    slices: Sender<(usize, S)>,
    waiting: Receiver<(usize, S)>,
    finished: Receiver<(usize, S)>,
    jobs: Sender<Arc<Job>>,
    workers: Vec<JoinHandle<()>>,
}

impl<S: Slice> Pool<S> {
    /// A pool of `threads` host threads, the caller's among them.
    pub fn new(threads: usize) -> Self {
        let (slices, waiting) = unbounded::<(usize, S)>();
        let (finish, finished) = unbounded();
        let (jobs, queued) = unbounded::<Arc<Job>>();
        let workers = (1..threads)
            .map(|_| {
                let (waiting, finish, queued) = (waiting.clone(), finish.clone(), queued.clone());
                std::thread::spawn(move || work(&waiting, &finish, &queued))
            })
            .collect();
        Self { slices, waiting, finished, jobs, workers }
    }

    /// Runs every slice to its end; they come back in the order given.
    pub fn run(&self, mut slices: Vec<S>) -> Vec<S> {
        if slices.len() < 2 || self.workers.is_empty() {
            slices.iter_mut().for_each(Slice::run);
            return slices;
        }
        let count = slices.len();
        let mut back: Vec<Option<S>> = (0..count).map(|_| None).collect();
        let mut own = slices.remove(0);
        for (index, slice) in slices.into_iter().enumerate() {
            if let Err(refused) = self.slices.send((index + 1, slice)) {
                let (index, mut slice) = refused.0;
                slice.run();
                back[index] = Some(slice);
            }
        }
        own.run();
        back[0] = Some(own);
        while let Some(missing) = back.iter().position(Option::is_none) {
            if let Ok((index, mut slice)) = self.waiting.try_recv() {
                slice.run();
                back[index] = Some(slice);
            } else if let Ok((index, slice)) = spin(&self.finished) {
                back[index] = Some(slice);
            } else {
                unreachable!("a worker ended with slice {missing}");
            }
        }
        back.into_iter().flatten().collect()
    }

    /// Queues work; whoever needs its result calls [`Job::take`].
    pub fn job(&self, work: Work) -> Arc<Job> {
        let job = Arc::new(Job { state: Mutex::new(JobState::Waiting(work)), ..Job::default() });
        if !self.workers.is_empty() {
            // Nobody receives only when every worker has ended; `take` then runs it.
            let _ = self.jobs.send(Arc::clone(&job));
        }
        job
    }
}

impl<S: Slice> Drop for Pool<S> {
    fn drop(&mut self) {
        let (closed, _) = unbounded();
        self.slices = closed;
        let (closed, _) = unbounded();
        self.jobs = closed;
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so already.
            let _ = worker.join();
        }
    }
}

/// Receives, spinning for the length of a short slice before sleeping: a slice
/// lasts about as long as a sleep and a wake-up would.
fn spin<T>(channel: &Receiver<T>) -> Result<T, crossbeam_channel::RecvError> {
    for _ in 0..2_000 {
        if let Ok(item) = channel.try_recv() {
            return Ok(item);
        }
        std::hint::spin_loop();
    }
    channel.recv()
}

fn work<S: Slice>(
    waiting: &Receiver<(usize, S)>,
    finish: &Sender<(usize, S)>,
    queued: &Receiver<Arc<Job>>,
) {
    loop {
        for _ in 0..5_000 {
            if let Ok((index, mut slice)) = waiting.try_recv() {
                slice.run();
                if finish.send((index, slice)).is_err() {
                    return;
                }
            } else if let Ok(job) = queued.try_recv() {
                job.run();
            } else {
                std::hint::spin_loop();
            }
        }
        crossbeam_channel::select! {
            recv(waiting) -> task => {
                let Ok((index, mut slice)) = task else { return };
                slice.run();
                if finish.send((index, slice)).is_err() {
                    return;
                }
            }
            recv(queued) -> task => {
                let Ok(job) = task else { return };
                job.run();
            }
        }
    }
}

#[cfg(test)]
mod test {
    use super::{Pool, Slice};

    struct Square(u64);
    impl Slice for Square {
        fn run(&mut self) {
            self.0 *= self.0;
        }
    }

    #[test]
    fn slices_come_back_in_order_on_any_number_of_threads() {
        for threads in [1, 2, 3] {
            let pool = Pool::new(threads);
            for round in 0..50 {
                let out = pool.run((round..round + 7).map(Square).collect());
                let squares: Vec<_> = out.iter().map(|square| square.0).collect();
                assert_eq!(squares, (round..round + 7).map(|n| n * n).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_jobs_result_is_there_when_it_is_needed() {
        for threads in [1, 2] {
            let pool = Pool::<Square>::new(threads);
            let jobs: Vec<_> =
                (0..20u8).map(|n| pool.job(Box::new(move || vec![n; usize::from(n)]))).collect();
            for (n, job) in jobs.iter().enumerate().rev() {
                assert_eq!(job.take(), vec![n as u8; n]);
                assert!(job.take().is_empty());
            }
        }
    }
}
