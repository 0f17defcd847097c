//! Points before and after everything by which the engine changes something on a server, and inside of transactions between changes that
//! belong together, at each of which a test ends the process or the server. They are compiled in with the feature `failpoints` only, which no released program has; without it nothing of them is left.

#[cfg(feature = "failpoints")]
pub use watched::watch;
pub(crate) use watched::{after, after_statement, before, before_statement};

#[cfg(feature = "failpoints")]
mod watched {
    use std::sync::OnceLock;

    type Watcher = Box<dyn Fn(&str) + Send + Sync>;

    static WATCHER: OnceLock<Watcher> = OnceLock::new();

    /// Statements that change something by themselves. All others do so when their transaction is committed, or not at all.
    const DEFINITIONS: [&str; 5] = ["ALTER ", "CREATE ", "DROP ", "RENAME ", "TRUNCATE "];

    /// Has a function called with the name of every point that the engine reaches in this process. It can be set once.
    ///
    /// # Panics
    /// When it is set already.
    pub fn watch(watcher: impl Fn(&str) + Send + Sync + 'static) {
        assert!(WATCHER.set(Box::new(watcher)).is_ok(), "the points of this process are watched already");
    }

    fn reach(when: &str, effect: &str) {
        if let Some(watcher) = WATCHER.get() {
            watcher(&format!("{when} {effect}"));
        }
    }

    /// What has the effect is about to be sent.
    pub(crate) fn before(effect: &str) {
        reach("before", effect);
    }

    /// The server has answered that the effect is there.
    pub(crate) fn after(effect: &str) {
        reach("after", effect);
    }

    /// [`before`], for statements that have an effect by themselves.
    pub(crate) fn before_statement(statement: &str) {
        if DEFINITIONS.iter().any(|word| statement.starts_with(word)) {
            before(statement);
        }
    }

    /// [`after`], for statements that have an effect by themselves.
    pub(crate) fn after_statement(statement: &str) {
        if DEFINITIONS.iter().any(|word| statement.starts_with(word)) {
            after(statement);
        }
    }
}

#[cfg(not(feature = "failpoints"))]
mod watched {
    #[inline(always)]
    pub(crate) const fn before(_effect: &str) {}

    #[inline(always)]
    pub(crate) const fn after(_effect: &str) {}

    #[inline(always)]
    pub(crate) const fn before_statement(_statement: &str) {}

    #[inline(always)]
    pub(crate) const fn after_statement(_statement: &str) {}
}
