// The states of a connection (RFC 9293, 3.3.2), and one before them: a SYN has come whose answer is not decided yet.
//
//   waiting --answer--> syn-received --+                    +-- end --> fin-wait-1 -> fin-wait-2 --+
//                                      +--> established ----+              |                       +--> time-wait -> closed
//   syn-sent --------------------------+                    |              +-----> closing --------+
//                                                           +-- peer's FIN --> close-wait -- end --> last-ack -> closed

export type TcpState =
  | 'waiting'
  | 'syn-sent'
  | 'syn-received'
  | 'established'
  | 'fin-wait-1'
  | 'fin-wait-2'
  | 'close-wait'
  | 'closing'
  | 'last-ack'
  | 'time-wait'
  | 'closed';

/** Data may be sent, for the first time or again. */
export const SENDING_STATES: ReadonlySet<TcpState> = new Set(['established', 'close-wait', 'fin-wait-1', 'closing', 'last-ack']);
