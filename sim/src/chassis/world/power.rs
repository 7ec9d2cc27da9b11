//! What somebody does to the power cord of a chassis.
//!
//! **Command**, to the lab itself: `power off CHASSIS`. From that moment nothing of the
//! chassis executes, sends or answers; what was typed there and had no answer ends with
//! an error, and so does all that is typed there afterwards. There is no `power on`: a
//! chassis is on from the beginning of the world.
//!
//! **Fact.** `chassis off`, at the chassis.
//!
//! **Errors.** One line, the command's answer.

use super::{World, WorldError};
use sun4v::native::Reply;

impl World {
    /// Carries out `power …`; the text that answers it, or why it was refused.
    ///
    /// # Errors
    /// The script had typed something at the chassis and did not expect this.
    pub(super) fn power(
        &mut self,
        line: &str,
    ) -> Result<Option<Result<String, String>>, WorldError> {
        let words: Vec<_> = line.split_whitespace().collect();
        let ["power", "off", name] = words[..] else {
            return Ok(Some(Err(format!("`{line}`: it is `power off CHASSIS`"))));
        };
        let now = self.now;
        let Some(server) = self.servers.iter_mut().find(|server| server.name() == name) else {
            return Ok(Some(Err(format!("no chassis `{name}`"))));
        };
        if server.is_off() {
            return Ok(Some(Err(format!("{name} is off"))));
        }
        server.power_off(now);
        self.collect();
        let open = self.open.iter().filter(|(_, open)| open.place == name);
        let open: Vec<_> = open.map(|(&id, _)| id).collect();
        for id in open {
            self.no_answer(id)?;
        }
        Ok(Some(Ok(String::new())))
    }

    /// Ends a command at a place that is off.
    ///
    /// # Errors
    /// The script did not expect it.
    pub(super) fn no_answer(&mut self, id: u64) -> Result<(), WorldError> {
        let place = self.open.get(&id).map_or("", |open| &open.place);
        let stderr = format!("no answer: {place} is off\n");
        self.end(id, Reply { stderr, status: 1, ..Reply::default() })
    }
}
