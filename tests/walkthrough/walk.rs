//! The walk itself: each step is done, told with page and line, and must come out as the page lets its reader expect.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_yaml::Value;

use crate::harness::database::Database;
use crate::harness::migration::{Migration, status_of, summary, waiting_gates};
use crate::harness::{Outcome, kubectl, wait};
use crate::pages::root;
use crate::script::{Deed, Item, Step};
use crate::shown::{among, whole};
use crate::surroundings::{Folder, secret, start_database, start_staging};
use crate::table::{Before, MIGRATION, Manner, PEOPLE, README, SHOP, STAGING, SUBSTITUTIONS, Use};
use crate::typing::{Typed, Typist, Window};

/// How long a migration may take to a gate.
const GATE_LIMIT: Duration = Duration::from_secs(240);
/// Characters of a command that are told while it runs.
const TOLD: usize = 160;

/// A newcomer on the way.
pub(crate) struct Walk {
    folder: Folder,
    begun: Instant,
    /// The names in braces of the table's substitutions.
    names: BTreeMap<&'static str, String>,
    /// What each command has shown, the latest last.
    shown: Vec<(String, String)>,
    /// Variables that were set in a block, by its page and line.
    assigned: (String, String),
    windows: Vec<Window>,
    forward: Option<Window>,
    pub(crate) database: Option<Database>,
}

impl Walk {
    pub(crate) fn new() -> Outcome<Self> {
        let folder = Folder::new()?;
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let password = kubectl::run("openssl", &["rand", "-hex", "24"], None)?.trim().to_owned();
        let names =
            [("{password}", password), ("{repository}", path(root())), ("{tools}", path(&folder.0.join("tools")))];
        Ok(Self {
            folder,
            begun: Instant::now(),
            names: names.into(),
            shown: Vec::new(),
            assigned: (String::new(), String::new()),
            windows: Vec::new(),
            forward: None,
            database: None,
        })
    }

    /// Does one step.
    ///
    /// # Errors
    /// Page, line, what was done there, and what came of it.
    pub(crate) fn step(&mut self, step: &Step) -> Outcome<()> {
        let told = |error: String| format!("{}: {error}", step.item.place());
        if let Some(before) = step.before {
            self.before(&step.item, before).map_err(told)?;
        }
        let done = match &step.deed {
            Deed::Leave(why) => {
                self.tell(&step.item, "left: ", &format!("{} ({why})", first_line(&step.item.text)));
                Ok(())
            }
            Deed::Type(manner) => self.type_line(&step.item, *manner),
            Deed::Use(block) => self.use_block(&step.item, block),
        };
        done.map_err(told)
    }

    fn tell(&self, item: &Item, before: &str, text: &str) {
        let text: String = text.chars().take(TOLD).collect();
        println!("{:7.1}s  {:<28}{before}{text}", self.begun.elapsed().as_secs_f64(), item.place());
    }

    /// A text of a page as this reader types it.
    fn own(&self, item: &Item, text: &str) -> String {
        let fitting = SUBSTITUTIONS.iter().filter(|(page, _, _)| *page == item.page);
        let text = fitting.fold(text.to_owned(), |text, (_, from, to)| text.replace(from, to));
        self.named(&text)
    }

    fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// A text without what is secret.
    fn public(&self, text: &str) -> String {
        let secrets = self.names.iter().filter(|(name, _)| ["{password}", "{application}"].contains(name));
        secrets.fold(text.to_owned(), |text, (name, value)| text.replace(value, name))
    }

    fn typist(&self, item: &Item) -> Outcome<Typist> {
        let person = PEOPLE.iter().find(|(page, begins, _)| *page == item.page && item.text.starts_with(begins));
        Ok(Typist {
            folder: self.folder.0.clone(),
            tools: self.folder.0.join("tools/bin"),
            kubeconfig: self.folder.kubeconfig(person.map(|(_, _, name)| *name), namespace(item))?,
        })
    }

    fn type_line(&mut self, item: &Item, manner: Option<&Manner>) -> Outcome<()> {
        self.tell(item, "$ ", &item.text);
        let typist = self.typist(item)?;
        let line = self.own(item, &item.text);
        let block = format!("{}:{}", item.page, item.block);
        if self.assigned.0 != block {
            self.assigned = (block, String::new());
        }
        let text = format!("{}{line}", self.assigned.1);
        let typed = match manner {
            None => typist.line(&text)?,
            Some(Manner::Again(from, to)) => {
                self.expect(&line, typist.line(&text)?)?;
                let again = text.replacen(from, to, 1);
                self.tell(item, "$ ", &again);
                typist.line(&again)?
            }
            Some(Manner::Answered(question, answer)) => typist.asked(&text, question, &self.named(answer))?,
            Some(Manner::Refused(question, answer, words)) => {
                let typed = typist.asked(&text, question, answer)?;
                if typed.status.success() || !typed.shown.contains(words) {
                    return Err(format!(
                        "$ {line}\nis not refused with {words:?}, but {}:\n{}",
                        typed.status, typed.shown
                    ));
                }
                return Ok(());
            }
            Some(Manner::Aside) => {
                let log = self.folder.0.join(format!(".window-{}", self.windows.len()));
                let told = format!("{}: $ {line}", item.place());
                self.windows.push(typist.aside(&told, &text, &log)?);
                return Ok(());
            }
        };
        if is_assignment(&line) {
            self.assigned.1 = format!("{text}\n");
        }
        let shown = self.expect(&line, typed)?;
        self.shown.push((item.text.clone(), shown));
        Ok(())
    }

    fn expect(&self, line: &str, typed: Typed) -> Outcome<String> {
        let shown = self.public(&typed.shown);
        if typed.status.success() {
            Ok(shown)
        } else {
            Err(format!("$ {}\n{}:\n{shown}", self.public(line), typed.status))
        }
    }

    /// What the latest command with this beginning has shown.
    fn latest(&self, begins: &str) -> Outcome<&str> {
        let found = self.shown.iter().rev().find(|(line, _)| line.starts_with(begins));
        found
            .map(|(_, shown)| shown.as_str())
            .ok_or_else(|| format!("nothing that begins with {begins:?} was typed before"))
    }

    fn use_block(&mut self, item: &Item, block: &Use) -> Outcome<()> {
        let text = self.own(item, &item.text);
        match block {
            Use::Save(file) => {
                self.tell(item, &format!("saved as {file}: "), first_line(&item.text));
                self.write(file, &text)
            }
            Use::Apply => {
                self.tell(item, "applied: ", first_line(&item.text));
                self.write(".applied.yaml", &text)?;
                let line = "kubectl apply --server-side --filename .applied.yaml";
                let typed = self.typist(item)?.line(line)?;
                self.expect(line, typed).map(|_| ())
            }
            Use::Part => {
                self.tell(item, "put into the manifest: ", first_line(&item.text));
                self.plan_with(item, &text)
            }
            Use::Run(parts) => {
                self.tell(item, "run on the server: ", first_line(&item.text));
                let database = self.database.as_ref().ok_or("there is no database yet")?;
                database.sql(&statements(&text, parts)?).map(|_| ()).map_err(|error| self.public(&error))
            }
            Use::Whole(begins) => {
                self.tell(item, "compared with what is shown: ", first_line(&item.text));
                let shown = self.latest(begins)?;
                whole(&item.text, shown).map_err(|error| format!("{error}\nthe whole of it:\n{shown}"))
            }
            Use::Among(begins) => {
                self.tell(item, "found in what is shown: ", first_line(&item.text));
                let shown = self.latest(begins)?;
                among(&item.text, shown).map_err(|error| format!("{error}\nthe whole of it:\n{shown}"))
            }
        }
    }

    fn write(&self, file: &str, text: &str) -> Outcome<()> {
        fs::write(self.folder.0.join(file), text).map_err(|error| format!("{file}: {error}"))
    }

    fn read(&self, file: &str) -> Outcome<String> {
        fs::read_to_string(self.folder.0.join(file)).map_err(|error| format!("{file}: {error}"))
    }

    /// Plans the manifest with a part of a page in it, under a name of its own.
    fn plan_with(&self, item: &Item, part: &str) -> Outcome<()> {
        let read = |text: &str| serde_yaml::from_str::<Value>(text).map_err(|error| error.to_string());
        let (mut manifest, part) = (read(&self.read("migration.yaml")?)?, read(part)?);
        let name = format!("with-line-{}", item.line);
        manifest["metadata"]["name"] = name.as_str().into();
        manifest["spec"]["mode"] = "Plan".into();
        for (field, value) in part.as_mapping().ok_or("is no part of a spec")? {
            match (&mut manifest["spec"][field], value) {
                (Value::Sequence(there), Value::Sequence(more)) => there.extend(more.iter().cloned()),
                (there, value) => *there = value.clone(),
            }
        }
        let file = format!("{name}.yaml");
        self.write(&file, &serde_yaml::to_string(&manifest).map_err(|error| error.to_string())?)?;
        let line = format!(
            "kubectl holdfast lint {file} && kubectl apply --server-side --filename {file} && kubectl holdfast status {name} --namespace {SHOP} --watch"
        );
        let mut typed = item.clone();
        typed.text.clone_from(&line);
        let typist = self.typist(&typed)?;
        self.expect(&line, typist.line(&line)?).map(|_| ())
    }

    fn before(&mut self, item: &Item, before: &Before) -> Outcome<()> {
        match before {
            Before::Database => {
                self.tell(item, "", "(the team has a MySQL in the namespace)");
                self.database = Some(start_database(&self.folder.0)?);
            }
            Before::Staging => {
                self.tell(item, "", "(the team has another one in staging)");
                let staging = start_staging(&self.folder.0)?;
                self.names.insert("{application}", secret(&staging.kubectl, "shop-application", "password")?);
            }
            Before::Gate(phase) => {
                self.tell(item, "", &format!("(looked again until the gate before {phase} waits)"));
                let migration = Migration::new(&kubectl::Kubectl::new(namespace(item)), MIGRATION);
                let windows = &mut self.windows;
                wait::until(&format!("the gate before {phase}"), GATE_LIMIT, || {
                    if let Some(window) = windows.iter_mut().find_map(|window| (!window.goes_on()).then_some(window)) {
                        return Err(format!("{}\nhas ended meanwhile:\n{}", window.told, window.shown()));
                    }
                    let object = migration.read()?;
                    if status_of(&object, "Finished") == Some("True") {
                        return Err(format!("it ended before its gate: {}", summary(&object)));
                    }
                    Ok(if waiting_gates(&object).iter().any(|gate| gate == phase) {
                        Ok(())
                    } else {
                        Err(summary(&object))
                    })
                })?;
            }
            Before::Edit(file, from, to) => self.edit(item, file, from, to)?,
            Before::Fill(file, gap, begins) => {
                let shown = self.latest(begins)?.trim().to_owned();
                self.edit(item, file, gap, &shown)?;
            }
            Before::Ended => {
                self.tell(item, "", "(the other windows come to their end)");
                for window in std::mem::take(&mut self.windows) {
                    let told = window.told.clone();
                    self.expect(&told, window.end()?)?;
                }
            }
            Before::Forward => {
                let line = format!("kubectl port-forward --namespace {STAGING} service/mysql :3306");
                self.tell(item, "", &format!("({line})"));
                let mut forward = self.typist(item)?.aside(&line, &line, &self.folder.0.join(".forward"))?;
                let port = forward.number_behind("Forwarding from 127.0.0.1:")?;
                self.names.insert("{port}", port);
                self.forward = Some(forward);
            }
        }
        Ok(())
    }

    fn edit(&self, item: &Item, file: &str, from: &str, to: &str) -> Outcome<()> {
        self.tell(item, "", &format!("({file}: {to} in place of {from})"));
        let text = self.read(file)?;
        if text.matches(from).count() != 1 {
            return Err(format!("{file} does not have {from:?} once:\n{text}"));
        }
        self.write(file, &text.replace(from, to))
    }
}

fn namespace(item: &Item) -> &'static str {
    if item.page == README { STAGING } else { SHOP }
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim()
}

/// Whether a line only sets a variable.
fn is_assignment(line: &str) -> bool {
    let name = line.split('=').next().unwrap_or_default();
    name != line && !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// The statements under the comments that have these words; all of them, where none are named.
fn statements(text: &str, parts: &[&str]) -> Outcome<String> {
    if parts.is_empty() {
        return Ok(text.to_owned());
    }
    let found = |part: &&str| {
        let paragraph = text.split("\n\n").find(|paragraph| paragraph.starts_with("--") && paragraph.contains(part));
        paragraph.ok_or_else(|| format!("no comment says {part:?}"))
    };
    Ok(parts.iter().map(found).collect::<Outcome<Vec<_>>>()?.join("\n"))
}

#[test]
fn of_statements_only_those_are_run_that_are_meant() {
    let text = "-- One.\nA;\n\n-- Two.\nB;\nC;\n\n-- Three.\nD;\n";
    assert_eq!(statements(text, &[]).unwrap(), text);
    assert_eq!(statements(text, &["Two"]).unwrap(), "-- Two.\nB;\nC;");
    assert!(statements(text, &["Four"]).unwrap_err().contains("Four"));
    assert!(is_assignment("PLAN=$(a b)") && !is_assignment("kubectl get a --output=b") && !is_assignment("a=b c"));
}
