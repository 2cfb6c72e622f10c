//! People are looked for by the keys of their names, and messages are composed (reference, unified messaging, 4.6, 4.7).

use super::words::{Answer, Ask, Item, Output, Person, Purpose};
use super::{Act, After, Digits, MenuId, Next, Role, Searching, Talk};

/// Matches that are offered at once.
const OFFERED_MAX: usize = 9;
/// Recipients of a message.
const RECIPIENTS_MAX: usize = 20;

impl Talk {
    pub(super) fn search(&mut self, why: Searching) {
        self.searching = why;
        self.people.clear();
        self.want(Digits::Spell);
    }

    pub(super) fn spelled(&mut self, row: String) {
        self.ask(Ask::Spell(row), After::Spelled);
    }

    pub(super) fn found(&mut self, answer: Answer) {
        let people = match answer {
            Answer::People(people) => people,
            _ => Vec::new(),
        };
        // Who is to get a message must be able to.
        let fits = |person: &Person| person.has_mailbox || self.searching == Searching::Anybody;
        self.people = people.into_iter().filter(fits).collect();
        match self.people.as_slice() {
            [] => self.failed(&["nobody-found"], Next::Digits(Digits::Spell)),
            [one] => {
                let one = one.clone();
                self.picked(one);
            }
            many if many.len() > OFFERED_MAX => self.failed(&["too-many-found"], Next::Digits(Digits::Spell)),
            _ => self.want(Digits::Choose),
        }
    }

    /// "For …, press 1."
    pub(super) fn choices(&self) -> Vec<Item> {
        let each = (1_u32..).zip(&self.people).flat_map(|(number, person)| {
            let mut items = vec![Item::Prompt("for")];
            items.extend(name(person));
            items.extend([Item::Prompt("press"), Item::Number(number)]);
            items
        });
        each.collect()
    }

    pub(super) fn choice(&mut self, row: &str) {
        let index = row.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        match index.and_then(|index| self.people.get(index)).cloned() {
            Some(person) => self.picked(person),
            None => self.failed(&["not-an-option"], Next::Digits(Digits::Choose)),
        }
    }

    fn picked(&mut self, person: Person) {
        self.failures = 0;
        if self.searching == Searching::Recipient {
            if self.recipients.len() < RECIPIENTS_MAX && !self.recipients.contains(&person) {
                self.recipients.push(person);
            }
            return self.compose();
        }
        let mut items = name(&person);
        self.person = Some(person);
        // Then what can be done with it.
        let menu = MenuId::Person.menu();
        items.extend(menu.keys.iter().filter(|e| e.told && self.there(e.act)).map(|entry| Item::Prompt(entry.line)));
        self.say(items, super::Mode::Menu(MenuId::Person));
    }

    /// The search is given up.
    pub(super) fn search_left(&mut self) {
        match (&self.role, self.signed_in) {
            (_, true) if self.searching == Searching::Recipient && !self.recipients.is_empty() => self.compose(),
            (_, true) if self.hearing.is_some() => self.menu_of_message(),
            (_, true) => self.menu(MenuId::Main),
            (Role::Attendant(_), false) => self.attend(),
            (Role::Answering, false) => self.menu(MenuId::Elsewhere),
            (Role::Access, false) => self.want(Digits::Extension),
        }
    }

    /// Whom the message is for, and what comes next.
    pub(super) fn compose(&mut self) {
        self.menu(MenuId::Compose);
    }

    pub(super) fn finding_act(&mut self, id: MenuId, act: Act) {
        match (id, act) {
            (MenuId::Compose, Act::Record) => match self.recipients.is_empty() {
                true => self.search(Searching::Recipient),
                false => {
                    let before = self.words_before(Purpose::Composed);
                    self.prepare(Purpose::Composed, before);
                }
            },
            (MenuId::Compose, Act::Add) => self.search(Searching::Recipient),
            (MenuId::Compose, Act::Remove) => {
                self.recipients.pop();
                self.compose();
            }
            (MenuId::Compose, _) => {
                self.recipients.clear();
                self.forwarded = None;
                match self.hearing.is_some() {
                    true => self.menu_of_message(),
                    false => self.menu(MenuId::Main),
                }
            }
            (_, Act::Details) => {
                let Some(person) = &self.person else { return self.search_left() };
                let mut items = name(person);
                if let Some(extension) = &person.extension {
                    items.extend([Item::Prompt("extension"), Item::Digits(extension.clone())]);
                }
                self.say(items, super::Mode::Saying(Next::Menu(MenuId::Person)));
            }
            (_, Act::Call) => match self.person.as_ref().and_then(|person| person.extension.clone()) {
                Some(extension) => self.connect(extension),
                None => self.menu(MenuId::Person),
            },
            (_, Act::MessageTo) => self.message_to(),
            (_, Act::Another) => self.search(Searching::Anybody),
            _ => self.search_left(),
        }
    }

    /// A message for the person that was found: of a user who has signed in, or of a caller.
    pub(super) fn message_to(&mut self) {
        let Some(person) = self.person.clone().filter(|person| person.has_mailbox) else {
            return self.menu(MenuId::Person);
        };
        if self.signed_in {
            self.recipients = vec![person];
            self.forwarded = None;
            let before = self.words_before(Purpose::Composed);
            return self.prepare(Purpose::Composed, before);
        }
        self.leave_for(person.user);
    }

    /// A caller who has not signed in leaves a message for somebody, without ringing.
    pub(super) fn leave_for(&mut self, user: String) {
        self.out.push(Output::Note("a message without ringing"));
        self.mailbox = Some(user);
        self.role = Role::Answering;
        // Rules are for those who have called the owner.
        self.situation = None;
        self.begin_answering();
    }
}

/// How a person is called.
pub(super) fn name(person: &Person) -> Vec<Item> {
    match (person.display.is_empty(), &person.extension) {
        (false, _) => vec![Item::Spell(person.display.clone())],
        (true, Some(extension)) => vec![Item::Prompt("extension"), Item::Digits(extension.clone())],
        (true, None) => vec![Item::Spell(person.user.clone())],
    }
}

/// The keys of an E.161 keypad that spell a name. What is no letter and no digit is not spelled.
pub fn keys_of(name: &str) -> String {
    let key = |c: char| match c.to_ascii_lowercase() {
        'a'..='c' => Some('2'),
        'd'..='f' => Some('3'),
        'g'..='i' => Some('4'),
        'j'..='l' => Some('5'),
        'm'..='o' => Some('6'),
        'p'..='s' => Some('7'),
        't'..='v' => Some('8'),
        'w'..='z' => Some('9'),
        c if c.is_ascii_digit() => Some(c),
        _ => None,
    };
    name.chars().filter_map(key).collect()
}

/// Whether keys begin the spelling of a name: first name first, last name first, or the user's name.
pub fn is_spelled(display: &str, user: &str, keys: &str) -> bool {
    if keys.is_empty() {
        return false;
    }
    let words: Vec<&str> = display.split_whitespace().collect();
    let first = keys_of(&words.concat());
    let last: String = match words.split_last() {
        Some((last, others)) => keys_of(&[&[*last], others].concat().concat()),
        None => String::new(),
    };
    [first, last, keys_of(user)].iter().any(|spelled| spelled.starts_with(keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_the_reference_has_it() {
        for (name, keys) in [
            ("TonySmith", "866976484"),
            ("SmithTony", "764848669"),
            ("tsmith", "876484"),
            ("Mike1092", "64531092"),
            ("jim.wilson", "546945766"),
        ] {
            assert_eq!(keys_of(name), keys);
        }
        for keys in ["866976484", "8669", "764848669", "76484", "876484"] {
            assert!(is_spelled("Tony Smith", "tsmith", keys), "{keys}");
        }
        assert!(!is_spelled("Tony Smith", "tsmith", "999") && !is_spelled("Tony Smith", "tsmith", ""));
    }
}
