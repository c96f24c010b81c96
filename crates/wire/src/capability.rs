//! Capabilities as rows of a table: what a server can do, and what of it is on.

use std::fmt;
use std::marker::PhantomData;

/// When a capability is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// Before and after login.
    Always,
    /// Before login only.
    BeforeLogin,
    /// After login only.
    AfterLogin,
}

impl Announced {
    /// Whether it is, before or after login.
    pub fn is_told(self, after_login: bool) -> bool {
        match self {
            Self::Always => true,
            Self::BeforeLogin => !after_login,
            Self::AfterLogin => after_login,
        }
    }
}

/// A capability's row.
#[derive(Debug, Clone, Copy)]
pub struct Row<C: 'static> {
    /// Which it is.
    pub capability: C,
    /// Its name, as it is announced (without a value that follows it).
    pub name: &'static str,
    /// The RFCs that define it; empty for none.
    pub rfcs: &'static [u16],
    /// Since which version the server has it.
    pub since: &'static str,
    /// When it is announced.
    pub announced: Announced,
    /// What it cannot be without.
    pub needs: &'static [C],
    /// What there is to know of it.
    pub notes: &'static str,
}

/// The capabilities of a protocol; made by [`capability_table!`](crate::capability_table).
pub trait Capability: Copy + Eq + fmt::Debug + 'static {
    /// All rows, in the order they are announced in: 128 at most.
    const TABLE: &'static [Row<Self>];
    /// Those that cannot be switched off.
    const FIXED: &'static [Self];

    /// The place of its row in the table.
    fn place(self) -> usize;
}

/// The row of a name, whatever its case.
pub fn find<C: Capability>(name: &str) -> Option<&'static Row<C>> {
    C::TABLE
        .iter()
        .find(|row| row.name.eq_ignore_ascii_case(name))
}

/// A set of capabilities.
pub struct Set<C>(u128, PhantomData<C>);

impl<C> Clone for Set<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Set<C> {}

impl<C> PartialEq for Set<C> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<C> Eq for Set<C> {}

impl<C: Capability> fmt::Debug for Set<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = C::TABLE.iter().filter(|row| self.has(row.capability));
        formatter
            .debug_set()
            .entries(rows.map(|row| row.name))
            .finish()
    }
}

impl<C: Capability> Set<C> {
    /// All of the table.
    pub fn all() -> Self {
        C::TABLE
            .iter()
            .fold(Self::none(), |set, row| set.with(row.capability))
    }

    /// None.
    pub fn none() -> Self {
        Self(0, PhantomData)
    }

    /// Whether one is in it.
    pub fn has(self, capability: C) -> bool {
        self.0 & Self::bit(capability) != 0
    }

    /// With one more.
    #[must_use]
    pub fn with(self, capability: C) -> Self {
        Self(self.0 | Self::bit(capability), PhantomData)
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0, PhantomData)
    }

    /// Without one and without all that cannot be without it.
    #[must_use]
    pub fn without(self, capability: C) -> Self {
        let rest = Self(self.0 & !Self::bit(capability), PhantomData);
        let needing = C::TABLE
            .iter()
            .filter(|row| rest.has(row.capability) && row.needs.contains(&capability));
        needing.fold(rest, |set, row| set.without(row.capability))
    }

    /// The first that is in `needed` and not here.
    pub fn missing(self, needed: Self) -> Option<&'static Row<C>> {
        let lacks = |row: &&Row<C>| needed.has(row.capability) && !self.has(row.capability);
        C::TABLE.iter().find(lacks)
    }

    fn bit(capability: C) -> u128 {
        // A table has 128 rows at most: `capability_table!` counts them.
        1_u128
            .checked_shl(u32::try_from(capability.place()).unwrap_or(u32::MAX))
            .unwrap_or_default()
    }
}

/// Makes an enumeration of capabilities and its table, one row each:
///
/// ```text
/// Variant: "NAME", [rfcs], "since", Announced, [what it needs], "notes";
/// ```
///
/// `fixed: [...]` names those that cannot be switched off.
#[macro_export]
macro_rules! capability_table {
    (
        $(#[$attribute:meta])* $kind:ident, fixed: [$($fixed:ident),*];
        $($variant:ident: $name:literal, [$($rfc:literal),*], $since:literal, $announced:ident, [$($needed:ident),*], $notes:literal;)*
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $kind {
            $(#[doc = $name] $variant,)*
        }

        impl $crate::capability::Capability for $kind {
            const TABLE: &'static [$crate::capability::Row<Self>] = &[
                $($crate::capability::Row {
                    capability: Self::$variant,
                    name: $name,
                    rfcs: &[$($rfc),*],
                    since: $since,
                    announced: $crate::capability::Announced::$announced,
                    needs: &[$(Self::$needed),*],
                    notes: $notes,
                },)*
            ];
            const FIXED: &'static [Self] = &[$(Self::$fixed),*];

            fn place(self) -> usize {
                self as usize
            }
        }

        const _: () = assert!(<$kind as $crate::capability::Capability>::TABLE.len() <= 128);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::capability_table! {
        /// For this test.
        Ability, fixed: [Walk];
        Walk: "WALK", [], "1", Always, [], "";
        Run: "RUN", [], "1", Always, [Walk], "";
        Race: "RACE", [], "1", AfterLogin, [Run], "";
        Sing: "SING", [], "1", BeforeLogin, [], "";
    }

    #[test]
    fn what_needs_another_goes_with_it() {
        let all = Set::<Ability>::all();
        let rest = all.without(Ability::Run);
        assert!(rest.has(Ability::Walk) && rest.has(Ability::Sing));
        assert!(!rest.has(Ability::Run) && !rest.has(Ability::Race));
        let needed = Set::none().with(Ability::Sing).with(Ability::Race);
        assert_eq!(all.missing(needed).map(|row| row.name), None);
        assert_eq!(rest.missing(needed).map(|row| row.name), Some("RACE"));
        assert_eq!(format!("{rest:?}"), "{\"WALK\", \"SING\"}");
    }

    #[test]
    fn rows_are_found_by_name() {
        assert_eq!(
            find::<Ability>("run").map(|row| row.capability),
            Some(Ability::Run)
        );
        assert!(find::<Ability>("RUNS").is_none());
        for (place, row) in Ability::TABLE.iter().enumerate() {
            assert_eq!(row.capability.place(), place);
        }
        assert!(Announced::AfterLogin.is_told(true) && !Announced::AfterLogin.is_told(false));
    }
}
