//! The reader: walks a parsed document against the schema and collects every mistake on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Finding, quoted};
use super::kind::Kind;
use super::schema::{Otherwise, Section, SectionSchema};

/// Most entries of one `[[section]]`.
const ENTRIES_MAX: usize = 100_000;
/// Names longer than this get no suggestion: the distance costs the product of the lengths.
const SUGGESTION_BYTES_MAX: usize = 40;

/// Collects what reading finds.
pub(super) struct Reader<'a> {
    /// The folder that relative paths count from.
    pub(super) base: &'a Path,
    /// The mistakes so far.
    pub(super) findings: Vec<Finding>,
    /// Where each setting that was given stands, by its full name such as `user[0].tel[1]`.
    pub(super) places: BTreeMap<String, Range<usize>>,
    /// The settings that are wrong or missing, for which something stands in.
    pub(super) unsound: BTreeSet<String>,
    /// The document broke off: required settings that are missing are not reported.
    is_broken: bool,
}

impl<'a> Reader<'a> {
    /// A reader for a document in the folder `base`; `is_broken` if its end could not be parsed.
    pub(super) fn new(base: &'a Path, is_broken: bool) -> Self {
        Self { base, findings: Vec::new(), places: BTreeMap::new(), unsound: BTreeSet::new(), is_broken }
    }

    /// Reads a section that is written once; an absent one has its defaults.
    pub(super) fn section<S: Section>(&mut self, root: &DeTable<'_>) -> Option<S> {
        let name = S::SCHEMA.name();
        let Some(value) = root.get(name) else {
            return self.table::<S>(&DeTable::new(), 0..0, name);
        };
        let Some(values) = value.get_ref().as_table() else {
            let what = format!("[{name}] is {}, not a section", with_article(value.get_ref().type_str()));
            self.findings.push(Finding::new(value.span(), name, what, format!("write `{}` once", S::SCHEMA.header)));
            return self.stand_in::<S>(name);
        };
        self.places.insert(name.to_owned(), value.span());
        self.table::<S>(values, value.span(), name)
    }

    /// Reads a section that is written once for each entry.
    pub(super) fn list<S: Section>(&mut self, root: &DeTable<'_>) -> Option<Vec<S>> {
        let name = S::SCHEMA.name();
        let Some(value) = root.get(name) else {
            return Some(Vec::new());
        };
        let remedy = || format!("write `{}` before each entry", S::SCHEMA.header);
        let Some(entries) = value.get_ref().as_array() else {
            let what = format!("`{name}` is one {}, not a list of sections", value.get_ref().type_str());
            self.findings.push(Finding::new(value.span(), name, what, remedy()));
            return Some(Vec::new());
        };
        if entries.len() > ENTRIES_MAX {
            let what = format!("{} entries of `{}`", entries.len(), S::SCHEMA.header);
            self.findings.push(Finding::new(value.span(), name, what, format!("write at most {ENTRIES_MAX}")));
            return Some(Vec::new());
        }
        let mut sections = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("{name}[{index}]");
            if let Some(values) = entry.get_ref().as_table() {
                self.places.insert(path.clone(), entry.span());
                sections.push(self.table::<S>(values, entry.span(), &path)?);
            } else {
                let what = format!("this entry is {}, not a section", with_article(entry.get_ref().type_str()));
                self.findings.push(Finding::new(entry.span(), &path, what, remedy()));
                sections.push(self.stand_in::<S>(&path)?);
            }
        }
        Some(sections)
    }

    /// A section that only holds its place: every setting of it is unsound.
    fn stand_in<S: Section>(&mut self, path: &str) -> Option<S> {
        self.unsound.extend(S::SCHEMA.keys.iter().map(|key| format!("{path}.{}", key.name)));
        let mut aside = Reader::new(self.base, true);
        aside.table(&DeTable::new(), 0..0, path)
    }

    /// Reports the sections that do not exist.
    pub(super) fn unknown_sections(&mut self, root: &DeTable<'_>, schemas: &[&'static SectionSchema]) {
        for (key, _) in
            root.iter().filter(|(key, _)| schemas.iter().all(|schema| schema.name() != key.get_ref().as_ref()))
        {
            let name = key.get_ref().as_ref();
            let what = format!("unknown section {}", quoted(name));
            let owner = schemas.iter().find(|schema| schema.keys.iter().any(|known| known.name == name));
            let nearest = nearest(name, schemas.iter().map(|schema| schema.name()));
            let nearest = schemas.iter().find(|schema| Some(schema.name()) == nearest);
            let remedy = match (nearest, owner) {
                (Some(schema), _) => format!("did you mean `{}`?", schema.header),
                (None, Some(schema)) => format!("`{name}` belongs below `{}`", schema.header),
                (None, None) => {
                    let headers: Vec<_> = schemas.iter().map(|schema| schema.header).collect();
                    format!("the sections are {}", headers.join(" "))
                }
            };
            let mut finding = Finding::new(key.span(), name, what, remedy);
            finding.hide_rest = true;
            self.findings.push(finding);
        }
    }

    fn table<S: Section>(&mut self, values: &DeTable<'_>, span: Range<usize>, path: &str) -> Option<S> {
        let mut table = TableReader { reader: self, values, span, path, header: S::SCHEMA.header };
        let section = S::read(&mut table);
        let unknown =
            values.iter().filter(|(key, _)| S::SCHEMA.keys.iter().all(|known| known.name != key.get_ref().as_ref()));
        for (key, _) in unknown {
            let name = key.get_ref().as_ref();
            let what = format!("unknown key {} in `{}`", quoted(name), S::SCHEMA.header);
            let remedy = match nearest(name, S::SCHEMA.keys.iter().map(|known| known.name)) {
                Some(known) => format!("did you mean `{known}`?"),
                None => {
                    let names: Vec<_> = S::SCHEMA.keys.iter().map(|known| known.name).collect();
                    format!("its keys are {}", names.join(", "))
                }
            };
            let mut finding = Finding::new(key.span(), &format!("{path}.{name}"), what, remedy);
            finding.hide_rest = true;
            self.findings.push(finding);
        }
        section
    }
}

/// One section on its way from the document to its struct.
pub struct TableReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    values: &'r DeTable<'r>,
    span: Range<usize>,
    path: &'r str,
    header: &'static str,
}

impl TableReader<'_, '_> {
    /// Reads the setting `name`. A mistake is collected, and what holds otherwise stands in for it; `None` only if that
    /// cannot be read.
    pub(super) fn key<K: Kind>(&mut self, name: &'static str, otherwise: Otherwise, kind: &K) -> Option<K::Value> {
        let path = format!("{}.{name}", self.path);
        if let Some(value) = self.values.get(name) {
            self.reader.places.insert(path.clone(), value.span());
            let read = kind.read(&mut At { reader: self.reader, value, path: path.clone() });
            if read.is_some() {
                return read;
            }
            self.reader.unsound.insert(path);
        } else if let Otherwise::Required(example) = otherwise {
            // After a document broke off, what is missing may only be out of sight.
            if !self.reader.is_broken {
                let what = format!("`{}` without `{name}`", self.header);
                let remedy = format!("add `{name} = {example}`: {}", kind.words());
                self.reader.findings.push(Finding::new(self.span.clone(), &path, what, remedy));
            }
            self.reader.unsound.insert(path);
        }
        match otherwise {
            Otherwise::Nothing(_) => kind.absent(),
            Otherwise::Default(text) | Otherwise::Required(text) => self.built_in(text, kind),
        }
    }

    /// Reads a text of the schema. Its places and mistakes would point into the wrong text; that it has none is tested.
    fn built_in<K: Kind>(&self, text: &str, kind: &K) -> Option<K::Value> {
        let document = format!("value = {text}");
        let (table, _) = DeTable::parse_recoverable(&document);
        let value = table.get_ref().get("value")?;
        let mut aside = Reader::new(self.reader.base, false);
        kind.read(&mut At { reader: &mut aside, value, path: String::new() })
    }
}

/// One value with its place; what a kind reads.
pub struct At<'r, 'a> {
    reader: &'r mut Reader<'a>,
    value: &'r Spanned<DeValue<'r>>,
    path: String,
}

impl At<'_, '_> {
    /// The value itself.
    pub(super) fn value(&self) -> &DeValue<'_> {
        self.value.get_ref()
    }

    /// The folder that relative paths count from.
    pub(super) fn base(&self) -> &Path {
        self.reader.base
    }

    /// Collects a mistake of this value.
    pub(super) fn wrong(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.reader.findings.push(Finding::new(self.value.span(), &self.path, what, remedy));
    }

    /// Collects that this value has another type than `wanted`, which says what would be right.
    pub(super) fn wrong_type(&mut self, wanted: &str) {
        let name = self.path.rsplit('.').next().unwrap_or(&self.path);
        let what = format!("`{name}` is {}", with_article(self.value.get_ref().type_str()));
        self.wrong(what, format!("write {wanted}"));
    }

    /// Reads each element of a list with `read`; `None` if this is no list or an element has a mistake.
    pub(super) fn each<T>(
        &mut self,
        wanted: &str,
        mut read: impl FnMut(&mut At<'_, '_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(elements) = self.value.get_ref().as_array() else {
            self.wrong_type(wanted);
            return None;
        };
        let mut all = Some(Vec::with_capacity(elements.len()));
        for (index, value) in elements.iter().enumerate() {
            let path = format!("{}[{index}]", self.path);
            self.reader.places.insert(path.clone(), value.span());
            let element = read(&mut At { reader: &mut *self.reader, value, path });
            all = all.zip(element).map(|(mut list, element)| {
                list.push(element);
                list
            });
        }
        all
    }

    /// Reads each entry of a table with `read`; `None` if this is no table or an entry has a mistake.
    pub(super) fn entries<T>(
        &mut self,
        wanted: &str,
        mut read: impl FnMut(&str, &mut At<'_, '_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(table) = self.value.get_ref().as_table() else {
            self.wrong_type(wanted);
            return None;
        };
        let mut all = Some(Vec::new());
        for (key, value) in table.iter() {
            let path = format!("{}.{}", self.path, key.get_ref());
            let entry = read(key.get_ref(), &mut At { reader: &mut *self.reader, value, path });
            all = all.zip(entry).map(|(mut list, entry)| {
                list.push(entry);
                list
            });
        }
        all
    }
}

fn with_article(type_name: &str) -> String {
    let article = if type_name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {type_name}")
}

/// The known name that is meant by a misspelt one, if one is near enough: a third of its letters wrong at most.
fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > SUGGESTION_BYTES_MAX {
        return None;
    }
    let allowed = (name.len() / 3).max(1);
    known
        .map(|known| (distance(name, known), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.bytes().zip(row.iter().skip(1)) {
            left = (left + 1).min(above + 1).min(diagonal + usize::from(from != to));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}
