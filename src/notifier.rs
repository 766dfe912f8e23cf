//! Who is told of an incident, and when: routes, silences, reminders.
