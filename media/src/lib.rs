//! Media for Strowger: RTP, RTCP, codecs, tones; pool/ is its only place with sockets
