//! What can go wrong in a simulated cluster, or go right.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// The kinds, each with its name and what it is, in one place.
macro_rules! kinds {
    ($($kind:ident $name:literal $about:literal,)*) => {
        /// One kind of case; what it is stands beside its name in [`Kind::about`].
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Kind {
            $(#[doc = $about] $kind,)*
        }

        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$kind),*];

            /// The word of the command line and of `truth.json`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }

            /// What happens, in a few words.
            pub fn about(self) -> &'static str {
                match self {
                    $(Kind::$kind => $about,)*
                }
            }
        }
    };
}

kinds! {
    Healthy "healthy" "an ordinary day: flakes, jobs and rollouts, nothing is the matter",
    Node "node" "a node breaks, and with it all that runs there",
}

#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("there is no kind of case `{0}`")]
pub struct UnknownKind(pub String);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name).ok_or_else(|| UnknownKind(name.to_owned()))
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
