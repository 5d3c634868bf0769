"""The process that serves taps: sockets swept on a timetable, streams judged together, audio kept where allowed."""
