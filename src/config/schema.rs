//! The table of everything that can be set. It is made by the declarations in `model`, and the reader, the suggestions
//! for misspelt keys, `strowger init` and the check of docs/configuration.md all read it: one source, no drift.

use super::read::TableReader;

/// A setting as documentation and `strowger init` see it.
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// What it does, in sentences.
    pub help: &'static str,
    /// What holds when it is not given.
    pub otherwise: Otherwise,
    /// What may be written, in words.
    pub allowed: fn() -> String,
}

/// What holds when a setting is not given, with a TOML text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// This default.
    Default(&'static str),
    /// Nothing: the setting is optional. The text is an example.
    Nothing(&'static str),
    /// An error: the setting is required. The text is an example, and stands in while further mistakes are sought.
    Required(&'static str),
}

impl Otherwise {
    /// The default or example.
    pub fn text(self) -> &'static str {
        match self {
            Self::Default(text) | Self::Nothing(text) | Self::Required(text) => text,
        }
    }
}

/// A section of the file with its settings.
pub struct SectionSchema {
    /// Its header as it is written, such as `[sip]` or `[[user]]`.
    pub header: &'static str,
    /// What it is about, in sentences.
    pub help: &'static str,
    /// Its settings in the order of documentation.
    pub keys: &'static [Key],
}

impl SectionSchema {
    /// The header without its brackets.
    pub fn name(&self) -> &'static str {
        self.header.trim_matches(['[', ']'])
    }

    /// Whether the section is written once for each entry, as `[[name]]`.
    pub fn is_list(&self) -> bool {
        self.header.starts_with("[[")
    }
}

/// A section that can be read from a table; implemented by `section!`.
pub trait Section: Sized {
    /// The section's description.
    const SCHEMA: &'static SectionSchema;

    /// Reads all settings. Mistakes are collected by the reader, and the default or example stands in for what is wrong;
    /// `None` only if one of those cannot be read.
    fn read(table: &mut TableReader<'_, '_>) -> Option<Self>;

    /// The settings in effect as JSON, secrets left out.
    fn effective(&self) -> serde_json::Value;
}

/// Declares a section once: its struct, its description, its reader and its effective view.
///
/// Each line is `name: Type = kind, default "TOML text";`, with its doc comment as help; `optional` and `required` instead
/// of `default` come with an example.
macro_rules! section {
    (
        $(#[doc = $section_help:literal])+
        $section:ident = $header:literal {
            $(
                $(#[doc = $help:literal])+
                $key:ident: $type:ty = $kind:expr, $otherwise:ident $text:literal;
            )+
        }
    ) => {
        $(#[doc = $section_help])+
        #[derive(Clone, Debug)]
        pub struct $section {
            $( $(#[doc = $help])+ pub $key: $type, )+
        }

        impl $crate::config::schema::Section for $section {
            const SCHEMA: &'static $crate::config::schema::SectionSchema = &$crate::config::schema::SectionSchema {
                header: $header,
                help: concat!($($section_help),+),
                keys: &[ $( $crate::config::schema::Key {
                    name: stringify!($key),
                    help: concat!($($help),+),
                    otherwise: section!(@$otherwise $text),
                    allowed: || $crate::config::kind::words_of::<$type>(&$kind),
                } ),+ ],
            };

            fn read(table: &mut $crate::config::read::TableReader<'_, '_>) -> Option<Self> {
                $( let $key = table.key(stringify!($key), section!(@$otherwise $text), &$kind); )+
                Some(Self { $( $key: $key?, )+ })
            }

            fn effective(&self) -> serde_json::Value {
                let mut map = serde_json::Map::new();
                $( map.insert(stringify!($key).to_owned(), $crate::config::kind::Kind::json(&$kind, &self.$key)); )+
                serde_json::Value::Object(map)
            }
        }
    };
    (@default $text:literal) => { $crate::config::schema::Otherwise::Default($text) };
    (@optional $text:literal) => { $crate::config::schema::Otherwise::Nothing($text) };
    (@required $text:literal) => { $crate::config::schema::Otherwise::Required($text) };
}

pub(super) use section;
