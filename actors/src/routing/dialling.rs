//! Dialling rules: what callers from outside may reach outside, by groups that are authorised (reference, unified messaging,
//! 7.2 to 7.5).

use super::number::E164;
use super::spec::{DialPlan, DiallingList, DiallingRule};

/// A rule that lets a number out, and how it is sent.
#[derive(Debug)]
pub struct Permit<'p> {
    /// The rule.
    pub rule: &'p DiallingRule,
    /// What is sent.
    pub sent: String,
}

impl DialPlan {
    /// What is dialled in this plan for a public number, and the list whose rules judge it; `None` without a country code.
    pub fn dial_string(&self, number: &E164) -> Option<(String, DiallingList)> {
        let (country, access) = (self.country_code.as_deref()?, self.access_code.as_deref().unwrap_or_default());
        // Country codes are free of prefixes (E.164 section 6.2.1): who begins with ours is of ours.
        Some(match number.digits().strip_prefix(country) {
            Some(rest) => {
                let prefix = self.national_prefix.as_deref().unwrap_or_default();
                (format!("{access}{prefix}{rest}"), DiallingList::InCountry)
            }
            None => {
                let prefix = self.international_prefix.as_deref().unwrap_or_default();
                (format!("{access}{prefix}{}", number.digits()), DiallingList::International)
            }
        })
    }

    /// What is dialled in another plan for a number of this one (reference, unified messaging, 7.4 step 3).
    pub fn dialled_from(&self, other: &Self, number: &str) -> Option<String> {
        let same = self.country_code.is_some() && self.country_code == other.country_code;
        let format = if same { self.in_country_format.as_ref() } else { self.international_format.as_ref() };
        format?.fill(number)
    }

    /// The rule of an authorised group that lets a number out: the most exact mask first, then the order of the list. Numbers
    /// that are no public ones are judged as they are typed, by both lists.
    pub fn permit(&self, number: &str) -> Option<Permit<'_>> {
        let judged = E164::parse(number).and_then(|number| self.dial_string(&number));
        let (dialled, of) = match judged {
            Some((dialled, list)) => (dialled, Some(list)),
            None => (number.to_owned(), None),
        };
        let allowed = |rule: &&DiallingRule| {
            let groups = match rule.list {
                DiallingList::InCountry => &self.allowed_in_country,
                DiallingList::International => &self.allowed_international,
            };
            of.is_none_or(|list| list == rule.list) && groups.contains(&rule.group)
        };
        let fitting = self.dialling.iter().filter(allowed).filter_map(|rule| {
            let sent = rule.mask.apply(&rule.dialled, &dialled)?;
            Some(Permit { rule, sent })
        });
        // Of equals the first: `min_by_key` keeps it.
        fitting.min_by_key(|permit| std::cmp::Reverse(permit.rule.mask.literals()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::mask::{Format, Mask};

    fn rule(group: &str, list: DiallingList, mask: &str, dialled: &str) -> DiallingRule {
        let (mask, dialled) = (Mask::new(mask).unwrap(), Mask::new(dialled).unwrap());
        DiallingRule { group: group.into(), list, mask, dialled }
    }

    fn plan() -> DialPlan {
        use DiallingList::{InCountry, International};
        DialPlan {
            country_code: Some("1".into()),
            national_prefix: Some("1".into()),
            international_prefix: Some("011".into()),
            access_code: Some("9".into()),
            dialling: vec![
                rule("anywhere", InCountry, "91*", "91*"),
                rule("near", InCountry, "91425xxxxxxx", "9xxxxxxx"),
                rule("britain", International, "901144*", "901144*"),
                rule("all", International, "*", "*"),
            ],
            allowed_in_country: vec!["anywhere".into(), "near".into()],
            allowed_international: vec!["britain".into()],
            ..DialPlan::default()
        }
    }

    fn sent(plan: &DialPlan, number: &str) -> Option<(String, String)> {
        plan.permit(number).map(|permit| (permit.rule.group.to_string(), permit.sent))
    }

    #[test]
    fn the_most_exact_mask_of_an_authorised_group_decides() {
        let plan = plan();
        assert_eq!(sent(&plan, "914255551234"), Some(("near".into(), "95551234".into())));
        assert_eq!(sent(&plan, "914085550100"), Some(("anywhere".into(), "914085550100".into())));
        assert_eq!(sent(&plan, "901144201234"), Some(("britain".into(), "901144201234".into())));
        assert_eq!(sent(&plan, "90113312345"), None, "the group `all` is not authorised");
    }

    #[test]
    fn a_public_number_is_dialled_with_the_codes_of_the_plan_and_judged_by_its_list() {
        let plan = plan();
        assert_eq!(sent(&plan, "+14255551234"), Some(("near".into(), "95551234".into())));
        assert_eq!(sent(&plan, "+442079460958"), Some(("britain".into(), "901144".to_owned() + "2079460958")));
        assert_eq!(sent(&plan, "+390612345678"), None);
        let mut open = plan;
        open.allowed_in_country.clear();
        open.allowed_international = vec!["all".into()];
        assert_eq!(sent(&open, "+14255551234"), None, "a number of the country is not judged by international rules");
        assert_eq!(sent(&open, "+390612345678"), Some(("all".into(), "9011390612345678".into())));
    }

    #[test]
    fn another_plan_dials_in_by_its_country() {
        let london = DialPlan {
            country_code: Some("44".into()),
            in_country_format: Some(Format::new("020xxxxxxxx").unwrap()),
            international_format: Some(Format::new("4420xxxxxxxx").unwrap()),
            ..DialPlan::default()
        };
        let leeds = DialPlan { country_code: Some("44".into()), ..DialPlan::default() };
        assert_eq!(london.dialled_from(&leeds, "+442079460958").as_deref(), Some("02079460958"));
        assert_eq!(london.dialled_from(&plan(), "+442079460958").as_deref(), Some("442079460958"));
    }
}
